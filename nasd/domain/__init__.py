"""Floor 0: the values everybody shares and the mathematics on them. Stdlib, numpy and moocore only."""
