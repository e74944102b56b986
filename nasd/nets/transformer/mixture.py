"""A mixture of experts in place of the feed-forward layer: each token goes to its `top_k` experts, none is dropped."""

import torch
from torch import Tensor, nn

from nasd.nets.transformer.layers import Linear, xavier_


class Experts(nn.Module):
    """`n` feed-forward networks in stacked weights; rows that arrive sorted by expert leave in the same order.

    Stacked, so that every weight has a gradient at every step, whichever experts were used.
    """

    def __init__(self, n: int, d_model: int, hidden: int, *, activation: nn.Module, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.up = nn.Parameter(torch.empty(n, d_model, hidden))
        self.up_bias = nn.Parameter(torch.empty(n, hidden))
        self.activation = activation
        self.down = nn.Parameter(torch.empty(n, hidden, d_model))
        self.down_bias = nn.Parameter(torch.empty(n, d_model))

    def draw_weights(self, generator: torch.Generator) -> None:
        xavier_(self.up, gain=1.0, generator=generator)
        xavier_(self.down, gain=self.gain, generator=generator)
        nn.init.zeros_(self.up_bias)
        nn.init.zeros_(self.down_bias)

    def forward(self, x: Tensor, sizes: list[int]) -> Tensor:
        """(sum of sizes, d_model) -> the same; the first sizes[0] rows go to expert 0, and so on."""
        rows = zip(
            torch.split(x, sizes), self.up.unbind(), self.up_bias.unbind(), self.down.unbind(), self.down_bias.unbind(),
            strict=True,
        )  # fmt: skip
        return torch.cat([self._one(*row) for row in rows])

    def one(self, number: int, x: Tensor) -> Tensor:
        """(rows, d_model) -> the same: what expert `number` makes of them."""
        return self._one(x, self.up[number], self.up_bias[number], self.down[number], self.down_bias[number])

    def _one(self, x: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor) -> Tensor:
        return torch.addmm(down_bias, self.activation(torch.addmm(up_bias, x, up)), down)


class Mixture(nn.Module):
    """(b, tokens, d_model) -> the same: the weighted sum of each token's `top_k` experts.

    Weights are the router's softmax; with top_k > 1 those of the chosen experts are scaled to a sum of 1 (Shazeer et
    al. 2017), with top_k = 1 they are not, as the router would have no gradient (Fedus et al. 2021, section 2.1).

    `balances` holds the balancing loss of every use since it was last emptied, in training mode:
    n_experts * sum over experts of (share of the assignments) * (mean router probability), which is 1 where the load is
    even (Fedus et al. 2021, section 2.2, equations 4 to 6; with top_k > 1 the shares are those of all assignments).
    """

    def __init__(
        self, *, n_experts: int, top_k: int, d_model: int, hidden: int, activation: nn.Module, gain: float
    ) -> None:
        super().__init__()
        self.n_experts, self.top_k = n_experts, top_k
        self.router = Linear(d_model, n_experts, bias=False)
        self.experts = Experts(n_experts, d_model, hidden, activation=activation, gain=gain)
        self.balances: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)  # (b * tokens, d_model)
        probabilities = self.router(rows).softmax(dim=-1)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)  # (b * tokens, top_k)
        if self.top_k > 1:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        if torch.compiler.is_exporting():
            return self._by_expert(rows, weights, chosen).view_as(x)
        flat = chosen.flatten()
        order = flat.argsort(stable=True)  # of the assignments, by expert
        load = torch.zeros(self.n_experts, dtype=torch.int64, device=x.device).scatter_add(
            0, flat, torch.ones_like(flat)
        )
        if self.training:
            self.balances.append(balance(load, probabilities))
        token = order // self.top_k
        y = self.experts(rows[token], _sizes(load, len(flat))) * weights.flatten()[order, None]
        return torch.zeros_like(rows).index_add(0, token, y.to(rows.dtype)).view_as(x)

    def _by_expert(self, rows: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """The same sum in the same order without sorting: ONNX knows no stable sort and no split by sizes it computes.

        Each expert still sees its own tokens alone, so that an exported network costs what the network costs.
        """
        y = torch.zeros_like(rows)
        for number in range(self.n_experts):
            is_here = chosen == number  # (b * tokens, top_k), at most one of a row
            token = is_here.any(dim=-1).nonzero().squeeze(1)
            share = (weights * is_here).sum(dim=-1)[token, None]
            y = y.index_add(0, token, self.experts.one(number, rows[token]) * share)
        return y


def balance(load: Tensor, probabilities: Tensor) -> Tensor:
    """The balancing loss of `Mixture` from (n_experts,) counts of assignments and (rows, n_experts) probabilities."""
    shares = load / load.sum()
    return len(load) * (shares * probabilities.mean(dim=0)).sum()


def _sizes(load: Tensor, n: int) -> list[int]:
    """`load` as numbers; on the meta device, which has no numbers, an even load of `n` assignments."""
    if load.is_meta:
        each, more = divmod(n, len(load))
        return [each + (i < more) for i in range(len(load))]
    return load.tolist()
