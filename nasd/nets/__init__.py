"""Architecture -> torch module, by family. Knows genes, not search spaces; no training, no data."""

from nasd.nets.build import build_module, skeleton

__all__ = ["build_module", "skeleton"]
