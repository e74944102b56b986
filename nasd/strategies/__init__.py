"""Search strategies: proposals from history. Floor 2: domain, numpy, pymoo, moocore; no I/O."""
