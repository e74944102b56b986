"""Latency and memory of a module, observed on this machine with their conditions. No training, no data."""

from nasd.profiling.measure import measure

__all__ = ["measure"]
