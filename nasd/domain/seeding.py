"""Where randomness comes from: generators keyed by names and numbers, never a global state."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from parts, the same on every machine and Python version."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def trial_rng(study_seed: int, trial_number: int) -> np.random.Generator:
    """The generator that proposes trial `trial_number`: keyed, so that replay needs no saved state."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([study_seed, trial_number])))


def below(n: int, rng: np.random.Generator) -> int:
    """0 to n - 1, each equally likely to within n / 2**53.

    For n up to 2**53 the product rounds to less than n. `rng.integers(n)` is exact and takes six times as long, which
    is most of what a proposal of a dozen draws would cost.
    """
    return int(rng.random() * n)


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of `options`, each equally likely."""
    return options[below(len(options), rng)]


def evaluation_seed(study_seed: int, architecture_key: str, replicate: int) -> int:
    """Seed of initial weights, data order and dropout: a retry on another worker is the same experiment."""
    return seed_of("evaluation", study_seed, architecture_key, replicate) & 0x7FFF_FFFF
