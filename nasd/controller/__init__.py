"""Floor 2: what to do next, given what is known. Pure: no I/O, no clock, no randomness of its own."""
