"""Four kinds of attention over (b, heads, tokens, d_head), each computing no more than it needs.

A kind says which tokens one token sees; with `causal` only those that are not later. All equal a dense softmax with
the corresponding mask, except linear attention, which has no softmax. Attention weights have no dropout of their own.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasd.nets.transformer.layers import Linear
from nasd.nets.transformer.plan import Plan
from nasd.nets.transformer.positions import Rotary


def cut(x: Tensor, size: int) -> Tensor:
    """(..., n * size, d) -> (..., n, size, d)."""
    return x.reshape(*x.shape[:-2], -1, size, x.shape[-1])


class Core(nn.Module):
    """Queries, keys and values, (b, heads, tokens, d_head) each, to one result of the same shape."""

    def __init__(self, plan: Plan, rotary: Rotary | None) -> None:
        super().__init__()
        self.rotary = rotary
        self.causal = plan.causal
        self.tokens = plan.tokens

    def rotate(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Both with their positions, where those are rotary."""
        return (q, k) if self.rotary is None else (self.rotary(q), self.rotary(k))


class Full(Core):
    """Every token sees every token. Source: Vaswani et al. 2017, section 3.2.1."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = self.rotate(q, k)
        return functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)


class Local(Core):
    """Token i sees the `window` tokens that end with i (causal), else those at most window / 2 away.

    Blocks of window / 2 queries look at three blocks of keys: 1.5 windows of products for a token, however many tokens
    there are. Source: Beltagy et al. 2020, Longformer, section 3.1 (the blocks are ours).
    """

    visible: Tensor

    def __init__(self, plan: Plan, rotary: Rotary | None) -> None:
        super().__init__(plan, rotary)
        self.block = plan.window // 2
        self.n_blocks = -(-plan.tokens // self.block)
        self.n_before = 2 if plan.causal else 1  # blocks of keys before the queries' own
        self.register_buffer("visible", self._visible(plan.window), persistent=False)

    def _visible(self, window: int) -> Tensor:
        """(1, n_blocks, block, 3 * block), true where the query sees the key."""
        first = torch.arange(self.n_blocks)[:, None, None] * self.block
        query = first + torch.arange(self.block)[:, None]
        key = first - self.n_before * self.block + torch.arange(3 * self.block)
        near = (query - window < key) & (key <= query) if self.causal else (query - key).abs() <= window // 2
        real = (key >= 0) & (key < self.tokens)
        # rows beyond the last token are cut off; they see something, as a softmax over nothing is NaN
        return (near & (real | (query >= self.tokens)))[None]

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = self.rotate(q, k)
        shape, behind = q.shape[:2], self.n_blocks * self.block - self.tokens
        q = cut(functional.pad(q, (0, 0, 0, behind)).flatten(0, 1), self.block)
        k, v = self._neighbours(k, behind), self._neighbours(v, behind)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.visible)  # (b*heads, n_blocks, block, d)
        return y.flatten(1, 2)[:, : self.tokens].reshape(*shape, self.tokens, -1)

    def _neighbours(self, x: Tensor, behind: int) -> Tensor:
        """(b * heads, n_blocks, 3 * block, d): the keys that each block of queries looks at."""
        before = self.n_before * self.block
        x = functional.pad(x, (0, 0, before, behind + 2 * self.block - before)).flatten(0, 1)
        x = cut(x, self.block)
        return torch.cat([x[:, i : i + self.n_blocks] for i in range(3)], dim=2)


class Sparse(Core):
    """Token i sees its own block of `stride` tokens and every token at a multiple of `stride` from it.

    Any two tokens are two steps apart, for stride + tokens / stride products a token. One softmax runs over both parts.
    Source: Child et al. 2019, Sparse Transformers, section 4.3, "strided", with both patterns in one head and the local
    part aligned to blocks.
    """

    hidden: Tensor

    def __init__(self, plan: Plan, rotary: Rotary | None) -> None:
        super().__init__(plan, rotary)
        self.stride = plan.stride
        self.n_blocks = -(-plan.tokens // plan.stride)
        self.softmax = nn.Softmax(dim=-1)
        self.register_buffer("hidden", self._hidden(), persistent=False)

    def _hidden(self) -> Tensor:
        """(n_blocks, stride, stride + n_blocks), true where the query does not see the key."""
        block, row = torch.arange(self.n_blocks)[:, None, None], torch.arange(self.stride)[:, None]
        column, other = torch.arange(self.stride), torch.arange(self.n_blocks)
        shape = (self.n_blocks, self.stride)
        inside = (block * self.stride + column >= self.tokens) & (column != row)  # a token always sees itself
        across = (other == block) | (other * self.stride + row >= self.tokens)  # its own block was inside
        if self.causal:
            inside, across = inside | (column > row), across | (other > block)
        return torch.cat((inside.expand(*shape, self.stride), across.expand(*shape, self.n_blocks)), dim=-1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = self.rotate(q, k)
        q, k, v = (self._blocks(x) for x in (q * q.shape[-1] ** -0.5, k, v))  # (b, heads, n_blocks, stride, d)
        inside = q @ k.mT
        across = (q.transpose(2, 3) @ k.transpose(2, 3).mT).transpose(2, 3)  # (b, heads, n_blocks, stride, n_blocks)
        scores = torch.cat((inside, across), dim=-1).masked_fill(self.hidden, float("-inf"))
        weights: Tensor = self.softmax(scores)
        inside, across = weights[..., : self.stride], weights[..., self.stride :]
        y = inside @ v + (across.transpose(2, 3) @ v.transpose(2, 3)).transpose(2, 3)
        return y.flatten(2, 3)[:, :, : self.tokens]

    def _blocks(self, x: Tensor) -> Tensor:
        return cut(functional.pad(x, (0, 0, 0, self.n_blocks * self.stride - self.tokens)), self.stride)


class LinearTime(Core):
    """Weights are products of positive features, elu(x) + 1, so sums over keys are made once for all queries.

    Causal: in chunks, whose sums over earlier chunks are carried on. Rotary positions turn the features in the
    numerator alone, which keeps the denominator positive.

    Source: Katharopoulos et al. 2020, equations 4 to 7; Su et al. 2021, RoFormer, equation 19.
    """

    def __init__(self, plan: Plan, rotary: Rotary | None) -> None:
        super().__init__(plan, rotary)
        self.chunk = min(plan.tokens, max(16, plan.d_head))
        self.n_chunks = -(-plan.tokens // self.chunk)
        self.triangle = Triangle()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        total = k.cumsum(dim=2) if self.causal else k.sum(dim=2, keepdim=True)
        scale = (q * total).sum(dim=-1, keepdim=True) + 1e-6
        q, k = self.rotate(q, k)
        return (self._causal(q, k, v) if self.causal else q @ (k.mT @ v)) / scale

    def _causal(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Numerators: within a chunk by a masked product, over earlier chunks by their summed k^T v."""
        q, k, v = (self._chunks(x) for x in (q, k, v))  # (b, heads, n_chunks, chunk, d)
        y: Tensor = self.triangle(q @ k.mT) @ v
        if self.n_chunks > 1:
            earlier = (k[:, :, :-1].mT @ v[:, :, :-1]).cumsum(dim=2)  # (b, heads, n_chunks - 1, d, d)
            y = torch.cat((y[:, :, :1], y[:, :, 1:] + q[:, :, 1:] @ earlier), dim=2)
        return y.flatten(2, 3)[:, :, : self.tokens]

    def _chunks(self, x: Tensor) -> Tensor:
        return cut(functional.pad(x, (0, 0, 0, self.n_chunks * self.chunk - self.tokens)), self.chunk)


class Triangle(nn.Module):
    """Sets what lies above the diagonal to 0."""

    def forward(self, x: Tensor) -> Tensor:
        return x.tril()


CORES: Mapping[str, Callable[[Plan, Rotary | None], Core]] = {
    "full": Full,
    "local": Local,
    "sparse": Sparse,
    "linear": LinearTime,
}


class Attention(nn.Module):
    """(b, tokens, d_model) -> the same: queries, keys and values in one Linear, a core, and an output Linear."""

    def __init__(self, plan: Plan, rotary: Rotary | None, *, gain: float) -> None:
        super().__init__()
        self.heads = plan.heads
        self.qkv = Linear(plan.d_model, 3 * plan.d_model)
        self.core = CORES[plan.attention](plan, rotary)
        self.out = Linear(plan.d_model, plan.d_model, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        b, tokens, d_model = x.shape
        qkv = self.qkv(x).view(b, tokens, 3, self.heads, d_model // self.heads).permute(2, 0, 3, 1, 4)
        y = self.core(qkv[0], qkv[1], qkv[2])  # (b, heads, tokens, d_head)
        return self.out(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
