"""Everything random in training, from one seed: weights, data order and dropout, each with a stream of its own.

This is the only module that touches torch's global generator (dropout draws from it and takes no other). Training has
its process to itself, and the generator's state is put back afterwards all the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nasd.domain.seeding import seed_of


def weight_seed(seed: int) -> int:
    """Of the initial weights."""
    return seed_of("weights", seed)


def order_generator(seed: int) -> torch.Generator:
    """Of the order of training samples; on the CPU, so that the order does not depend on the device."""
    return torch.Generator().manual_seed(seed_of("order", seed))


@contextmanager
def dropout_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators (the CPU's and `device`'s) within, and restore them afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of("dropout", seed))  # noqa: TID251 - the one place
        yield
