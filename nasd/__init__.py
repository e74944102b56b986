"""nasd: an asynchronous, multi-objective neural-architecture-search daemon."""

__version__ = "0.1.0"
