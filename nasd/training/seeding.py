"""Everything random in training, from one seed, in four streams: weights, data order, augmentation, dropout.

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


def augmentation_generator(seed: int, device: torch.device) -> torch.Generator:
    """Of flips, shifts, noise and mixtures; on `device`, where the batch is."""
    return torch.Generator(device).manual_seed(seed_of("augment", seed))


@contextmanager
def weights_seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator within, for a user's own module, whose constructor draws from it; then restore it.

    The CPU's alone: weights are drawn there. `seed` is used as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def dropout_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators (the CPU's and `device`'s) within, and restore them afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of("dropout", seed))  # noqa: TID251 - the one place
        yield


def global_state(device: torch.device) -> list[torch.Tensor]:
    """Of torch's global generators, the CPU's and `device`'s, for `restore_global_state`."""
    own = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *own]


def restore_global_state(state: list[torch.Tensor], device: torch.device) -> None:
    """Go on drawing as from when `state` was taken."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


@contextmanager
def undrawn(device: torch.device) -> Iterator[None]:
    """Whatever is drawn within from torch's global generators counts as not drawn."""
    state = global_state(device)
    try:
        yield
    finally:
        restore_global_state(state, device)
