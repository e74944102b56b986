"""One layer of a transformer: attention and feed-forward, each on a residual branch, normed before or after."""

import math

from torch import Tensor, nn

from nasd.nets.parts import ACTIVATIONS
from nasd.nets.transformer.attention import Attention
from nasd.nets.transformer.layers import Linear
from nasd.nets.transformer.mixture import Mixture
from nasd.nets.transformer.plan import Plan
from nasd.nets.transformer.positions import Rotary


class FeedForward(nn.Sequential):
    """(b, tokens, d_model) -> the same, through `mlp_ratio` times as many features."""

    def __init__(self, plan: Plan, *, gain: float) -> None:
        hidden = plan.mlp_ratio * plan.d_model
        super().__init__(
            Linear(plan.d_model, hidden), ACTIVATIONS[plan.activation](), Linear(hidden, plan.d_model, gain=gain)
        )


class Block(nn.Module):
    """(b, tokens, d_model) -> the same.

    pre: x + f(norm(x)); post: norm(x + f(x)) (Xiong et al. 2020, figure 1), for f = attention, then feed-forward.
    """

    def __init__(self, plan: Plan, rotary: Rotary | None) -> None:
        super().__init__()
        gain = 1 / math.sqrt(2 * plan.layers)
        self.is_pre = plan.norm_position == "pre"
        self.attention = Attention(plan, rotary, gain=gain)
        self.feed_forward = _feed_forward(plan, gain=gain)
        self.norms = nn.ModuleList([nn.LayerNorm(plan.d_model), nn.LayerNorm(plan.d_model)])
        self.dropout = nn.Dropout(plan.dropout) if plan.dropout > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        for branch, norm in zip((self.attention, self.feed_forward), self.norms, strict=True):
            y = branch(norm(x) if self.is_pre else x)
            x = x + (y if self.dropout is None else self.dropout(y))
            if not self.is_pre:
                x = norm(x)
        return x


def _feed_forward(plan: Plan, *, gain: float) -> nn.Module:
    if not plan.n_experts:
        return FeedForward(plan, gain=gain)
    return Mixture(
        n_experts=plan.n_experts,
        top_k=plan.top_k,
        d_model=plan.d_model,
        hidden=plan.mlp_ratio * plan.d_model,
        activation=ACTIVATIONS[plan.activation](),
        gain=gain,
    )
