"""The transformer family: encoders over patches, sequences or tokens, and causal language models."""

from nasd.nets.transformer.model import assemble

__all__ = ["assemble"]
