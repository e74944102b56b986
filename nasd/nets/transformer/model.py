"""The transformer as a whole: embedding, positions, blocks, head."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.nets.transformer.blocks import Block
from nasd.nets.transformer.embedding import Patches, PooledHead, Table, TiedHead
from nasd.nets.transformer.mixture import Mixture
from nasd.nets.transformer.plan import Plan
from nasd.nets.transformer.positions import Learned, Rotary, Sinusoidal

BALANCE_WEIGHT = 0.01  # Fedus et al. 2021, section 2.2
_ADDED: Mapping[str, Callable[[int, int], nn.Module]] = {"learned": Learned, "sinusoidal": Sinusoidal}


class Transformer(nn.Module):
    """(b, *input_shape) -> (b, n_outputs), or (b, n_tokens, vocabulary) for a language model, which is causal.

    A sample longer than the context is cut into pieces of `tokens` that do not see one another; a classifier's head
    takes the mean over all of them.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.n_tokens, self.tokens, self.order = plan.n_tokens, plan.tokens, plan.order
        self.embed: nn.Module = Table(plan) if plan.problem.vocabulary else Patches(plan)
        added = _ADDED.get(plan.positions)
        self.positions = None if added is None else added(plan.tokens, plan.d_model)
        self.dropout = nn.Dropout(plan.dropout) if plan.dropout > 0 else None
        rotary = Rotary(plan.tokens, plan.d_head) if plan.positions == "rotary" else None
        self.blocks = nn.ModuleList([Block(plan, rotary) for _ in sorted(set(plan.order))])
        # after the last sum of a pre-norm stack nothing is normed yet
        self.norm = nn.LayerNorm(plan.d_model) if plan.norm_position == "pre" else None
        self.head = self._head(plan)

    def _head(self, plan: Plan) -> nn.Module:
        if plan.problem.task is not Task.LM:
            return PooledHead(plan)
        if not isinstance(self.embed, Table) or plan.problem.n_outputs != plan.problem.vocabulary:
            raise ValueError(
                f"a language model reads and writes one vocabulary, not {plan.problem.vocabulary} tokens in and "
                f"{plan.problem.n_outputs} out"
            )
        return TiedHead(plan, self.embed.table)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)  # (b, n_tokens, d_model)
        x = x.reshape(-1, self.tokens, x.shape[-1])
        x = x if self.positions is None else self.positions(x)
        x = x if self.dropout is None else self.dropout(x)
        for index in self.order:
            x = self.blocks[index](x)
        x = x if self.norm is None else self.norm(x)
        return self.head(x.reshape(-1, self.n_tokens, x.shape[-1]))  # type: ignore[no-any-return]


class MixtureTransformer(Transformer):
    """A transformer whose feed-forward layers are mixtures; satisfies `nasd.nets.auxiliary.HasAuxiliaryLoss`."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._mixtures = [part for part in self.modules() if isinstance(part, Mixture)]

    def forward(self, x: Tensor) -> Tensor:
        for mixture in self._mixtures:
            mixture.balances.clear()
        return super().forward(x)

    def auxiliary_loss(self) -> Tensor:
        """0.01 times the sum over layers of their balancing losses (`Mixture`); 0.01 * layers where loads are even.

        Raises:
            RuntimeError: no forward pass in training mode came before.
        """
        balances = [balance for mixture in self._mixtures for balance in mixture.balances]
        if not balances:
            raise RuntimeError("auxiliary_loss: needs a forward pass in training mode first")
        return BALANCE_WEIGHT * torch.stack(balances).sum()


def assemble(architecture: Architecture, problem: Problem) -> nn.Module:
    """The module of a transformer architecture for `problem`.

    Raises:
        CandidateFault: `unsupported`, sizes that do not divide what they must.
    """
    plan = Plan.of(architecture, problem)
    return MixtureTransformer(plan) if plan.n_experts else Transformer(plan)
