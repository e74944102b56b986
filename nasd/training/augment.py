"""Augmentation: what the recipe does to a batch before the network sees it, drawn from a stream of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nasd.domain.data import Problem
from nasd.domain.recipe import AUGMENTATIONS, check_augmentations
from nasd.domain.study import TrainSpec
from nasd.training.seeding import augmentation_generator
from nasd.training.tensors import Batch


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Flip, shift, noise, then mixup; those that the recipe leaves out draw nothing."""

    flip: bool
    crop: int
    noise: float
    mixup: float
    generator: torch.Generator

    @classmethod
    def of(cls, recipe: TrainSpec, problem: Problem, *, seed: int, device: torch.device) -> Augmentation | None:
        """None where the recipe has none.

        Raises:
            UserError: one that has no meaning for such inputs.
        """
        wanted = {name: getattr(recipe, name) for name in AUGMENTATIONS}
        check_augmentations(wanted, problem)
        if not any(wanted.values()):
            return None
        return cls(**wanted, generator=augmentation_generator(seed, device))

    def __call__(self, batch: Batch) -> Batch:
        """A new batch; the layout in memory stays."""
        x = batch.x
        if self.flip:
            chosen = self._uniform(len(x)) < 0.5
            x = torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
        if self.crop:
            x = self._shifted(x)
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=self.generator, device=x.device)
        return self._mixed(x, batch.y) if self.mixup else Batch(x, batch.y)

    def _uniform(self, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator, device=self.generator.device)

    def _shifted(self, x: Tensor) -> Tensor:
        """Each sample by -crop to crop positions along each dimension after the channels, zeros coming in.

        A zero is the mean of the training inputs.
        """
        n_dims, rows = x.ndim - 2, torch.arange(len(x), device=x.device)
        windows = functional.pad(x, [self.crop] * 2 * n_dims)
        for dim, size in enumerate(x.shape[2:], start=2):
            windows = windows.unfold(dim, size, 1)  # (b, c, 2 * crop + 1 for each dimension, *sizes)
        offsets = [
            torch.randint(2 * self.crop + 1, (len(x),), generator=self.generator, device=x.device)
            for _ in range(n_dims)
        ]
        index: tuple[slice | Tensor, ...] = (rows, slice(None), *offsets)
        shifted = windows[index]  # (b, c, *sizes)
        is_inside = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        return shifted.contiguous(memory_format=torch.channels_last) if is_inside else shifted

    def _mixed(self, x: Tensor, y: Tensor) -> Batch:
        """One share for the whole batch, each sample with another of it (Zhang et al. 2018, figure 1)."""
        alpha = torch.full((2,), self.mixup, dtype=torch.float64, device=x.device)
        share = torch._sample_dirichlet(alpha, generator=self.generator)[0].float()  # Beta(alpha, alpha); torch.
        # distributions takes no generator
        partners = torch.randperm(len(x), generator=self.generator, device=x.device)
        return Batch(share * x + (1 - share) * x[partners], y, y[partners], share)
