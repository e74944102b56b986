"""AdamW and SGD on torch's fused kernels, without `torch.optim`.

`torch.optim` imports torch's compiler at its first step (2.13: 1.6 CPU seconds and 70 MiB in every evaluating process)
and spends a tenth of a small network's step in Python. The numbers are the same, bit for bit; a test holds them to
that. Back to `torch.optim` when its optimisers no longer import `torch._dynamo`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from nasd.domain.study import Optimiser as Kind
from nasd.domain.study import TrainSpec

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # torch's defaults
Named = Iterable[tuple[str, nn.Parameter]]


class Optimiser:
    """Updates what is trained; decays matrices only: decaying a bias or a normalisation's scale regularises nothing.

    The learning rate is an argument of every step.
    """

    def __init__(self, recipe: TrainSpec, named: Named) -> None:
        """Parameters that need no gradient are left alone."""
        groups: dict[tuple[bool, torch.dtype], list[Tensor]] = {(True, torch.float32): [], (False, torch.float32): []}
        for name, parameter in named:
            if parameter.requires_grad:
                decays = parameter.ndim > 1 and not name.endswith("bias")
                groups.setdefault((decays, parameter.dtype), []).append(parameter)
        self._groups: list[_Group] = []
        for (decays, _), params in groups.items():
            weight_decay = recipe.weight_decay if decays else 0.0
            if params:
                self._groups.append(
                    _AdamW(params, weight_decay)
                    if recipe.optimiser is Kind.ADAMW
                    else _SGD(params, weight_decay, recipe.momentum)
                )
        self._params = [p for group in self._groups for p in group.params]
        self._clip_norm = recipe.clip_norm

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to train."""
        return not self._params

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update from the gradients and drop them."""
        if self._clip_norm is not None:
            clip([p.grad for p in self._params if p.grad is not None], self._clip_norm)
        for group in self._groups:
            group.step(lr)

    def drop_gradients(self) -> None:
        """Those of a step that is not taken."""
        for p in self._params:
            p.grad = None

    def state(self) -> list[list[Tensor]]:
        """What a checkpoint keeps; the tensors themselves, not copies."""
        return [group.state() for group in self._groups]

    @torch.no_grad()
    def restore(self, state: list[list[Tensor]]) -> None:
        """Go on from a `state` of the same recipe and network."""
        for group, kept in zip(self._groups, state, strict=True):
            group.restore(kept)


def clip(gradients: list[Tensor], norm: float) -> None:
    """Scale gradients down together, in place, where their norm is above `norm`; as torch.nn.utils.clip_grad_norm_."""
    if gradients:
        total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (norm / (total + 1e-6)).clamp(max=1.0))


class _Group(ABC):
    """Parameters of one type that decay alike, with lists of states beside them.

    A parameter without a gradient is passed over, as `torch.optim` does, and its count of steps stands still.
    """

    def __init__(self, params: list[Tensor], weight_decay: float, *, n_states: int) -> None:
        self.params, self._weight_decay = params, weight_decay
        self._states = [
            [torch.zeros_like(p, memory_format=torch.preserve_format) for p in params] for _ in range(n_states)
        ]
        self._counts = torch.zeros(len(params), dtype=torch.float32, device=params[0].device)
        self._lists = [params, *self._states, list(self._counts.unbind())]

    def step(self, lr: float) -> None:
        gradients = [p.grad for p in self.params if p.grad is not None]
        if len(gradients) == len(self.params):
            self._counts += 1
            params, *states = self._lists
        else:
            used = [i for i, p in enumerate(self.params) if p.grad is not None]
            self._counts[used] += 1
            params, *states = ([each[i] for i in used] for each in self._lists)
        self._update(lr, params, gradients, states)
        for p in self.params:
            p.grad = None

    @abstractmethod
    def _update(self, lr: float, params: list[Tensor], gradients: list[Tensor], states: list[list[Tensor]]) -> None: ...

    def state(self) -> list[Tensor]:
        return [self._counts, *(state for states in self._states for state in states)]

    def restore(self, kept: list[Tensor]) -> None:
        for own, stored in zip(self.state(), kept, strict=True):
            own.copy_(stored)


class _AdamW(_Group):
    """Decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    def __init__(self, params: list[Tensor], weight_decay: float) -> None:
        super().__init__(params, weight_decay, n_states=2)

    def _update(self, lr: float, params: list[Tensor], gradients: list[Tensor], states: list[list[Tensor]]) -> None:
        means, squares, counts = states
        torch._fused_adamw_(
            params,
            gradients,
            means,
            squares,
            [],
            counts,
            lr=lr,
            beta1=_BETA1,
            beta2=_BETA2,
            weight_decay=self._weight_decay,
            eps=_EPS,
            amsgrad=False,
            maximize=False,
        )


class _SGD(_Group):
    """Nesterov's momentum as in Sutskever et al. 2013, section 2, in torch's form; plain where it is 0."""

    def __init__(self, params: list[Tensor], weight_decay: float, momentum: float) -> None:
        super().__init__(params, weight_decay, n_states=1 if momentum else 0)
        self._momentum = momentum

    def _update(self, lr: float, params: list[Tensor], gradients: list[Tensor], states: list[list[Tensor]]) -> None:
        torch._fused_sgd_(
            params,
            gradients,
            states[0] if self._momentum else [],
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
            is_first_step=False,  # velocities begin at zero, which comes to the same
        )
