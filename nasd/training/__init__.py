"""The one training loop that every architecture goes through, under an equal budget of optimiser steps."""

from nasd.training.loop import train

__all__ = ["train"]
