"""Floor 1: what the two sides need of the outside world, as protocols. Only the domain is known here."""
