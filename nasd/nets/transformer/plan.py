"""What the genes of a transformer say about a problem, typed and with the token arithmetic done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.tokens import Tokens, channels_and_sides
from nasd.errors import CandidateFault

_GENES = (
    "layers", "d_model", "heads", "mlp_ratio", "norm_position", "positions", "attention", "window", "stride",
    "n_experts", "top_k", "sharing", "activation", "dropout", "embedding",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The genes by their names (`nasd.spaces.transformer` says what they mean) and what follows from the problem.

    A gene that does not exist in an architecture is 0.

    Attributes:
        patch: positions along each side that make one token.
        patch_numbers: in a patch, 0 where tokens come from a table.
        n_tokens: of one sample.
        tokens: that attend to one another; a sample is n_tokens / tokens such pieces.
    """

    layers: int
    d_model: int
    heads: int
    mlp_ratio: int
    norm_position: str
    positions: str
    attention: str
    window: int
    stride: int
    n_experts: int
    top_k: int
    sharing: str
    activation: str
    dropout: float
    embedding: int
    patch: int
    patch_numbers: int
    n_tokens: int
    tokens: int
    problem: Problem

    @classmethod
    def of(cls, architecture: Architecture, problem: Problem) -> Plan:
        """Read the genes.

        Raises:
            CandidateFault: `unsupported`, heads, patch or context that do not divide what they must, or an odd
                width of a head with rotary positions.
        """
        genes: dict[str, Any] = {name: value or 0 for name, value in architecture.as_dict().items()}
        _, sides = channels_and_sides(problem)
        patch = genes.get("patch", 0) or 1
        context = genes.get("context", 0) or (sides[0] if len(sides) == 1 else 0)
        for side in sides:
            _check_divides("patch", patch, side)
        if context:
            _check_divides("patch", patch, context)
            _check_divides("context", context, sides[0])
        _check_divides("heads", genes["heads"], genes["d_model"])
        if genes["positions"] == "rotary" and genes["d_model"] // genes["heads"] % 2:
            raise CandidateFault("unsupported", "rotary positions turn pairs: d_model / heads must be even")
        cut = Tokens.of(problem, patch=patch, context=context)
        return cls(
            **{name: genes.get(name, 0) for name in _GENES},
            patch=patch,
            patch_numbers=cut.numbers,
            n_tokens=cut.n,
            tokens=cut.together,
            problem=problem,
        )

    @property
    def causal(self) -> bool:
        """Whether a token must not see later ones."""
        return self.problem.task is Task.LM

    @property
    def d_head(self) -> int:
        return self.d_model // self.heads

    @property
    def order(self) -> tuple[int, ...]:
        """Which block each layer is: layers that share their weights name the same one."""
        group = {"none": 1, "pairs": 2, "all": self.layers}[self.sharing]
        return tuple(layer // group for layer in range(self.layers))


def _check_divides(name: str, divisor: int, whole: int) -> None:
    if whole % divisor:
        raise CandidateFault("unsupported", f"{name} = {divisor}: must divide {whole} without remainder")
