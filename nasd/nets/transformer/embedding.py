"""From a sample to tokens of width d_model: patches of numbers, or a table; and from tokens back to a vocabulary."""

import math

from torch import Tensor, nn

from nasd.nets.transformer.layers import Embedding, Linear
from nasd.nets.transformer.plan import Plan


class Patches(nn.Module):
    """Cuts (b, channels, height, width), (b, channels, length) or (b, features) into patches and maps each.

    The result is (b, n_tokens, d_model), row by row; a patch of size 1 is one position with all its channels.
    Source: Dosovitskiy et al. 2021, section 3.1.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.patch = plan.patch
        self.project = Linear(plan.patch_numbers, plan.d_model)

    def forward(self, x: Tensor) -> Tensor:
        p = self.patch
        if x.dim() == 4:
            b, c, h, w = x.shape
            x = x.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)  # (b, h/p, w/p, c, p, p)
            return self.project(x.flatten(3).flatten(1, 2))  # type: ignore[no-any-return]
        x = x[:, None] if x.dim() == 2 else x
        b, c, length = x.shape
        return self.project(x.reshape(b, c, length // p, p).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Table(nn.Module):
    """(b, n_tokens) token numbers -> (b, n_tokens, d_model); factorised where `embedding` differs from d_model.

    A row is scaled to deviation 1, as large as the positions that are added (Vaswani et al. 2017, section 3.4).
    Source of the factorising: Lan et al. 2020, ALBERT, section 3.1.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.table = Embedding(plan.problem.vocabulary, plan.embedding)
        self.widen = None if plan.embedding == plan.d_model else Linear(plan.embedding, plan.d_model, bias=False)
        self.scale = math.sqrt(plan.embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) * self.scale
        return x if self.widen is None else self.widen(x)  # type: ignore[no-any-return]


class TiedHead(nn.Module):
    """(b, n_tokens, d_model) -> (b, n_tokens, vocabulary): the input's table again (Press and Wolf 2017)."""

    def __init__(self, plan: Plan, table: Embedding) -> None:
        super().__init__()
        self.narrow = None if plan.embedding == plan.d_model else Linear(plan.d_model, plan.embedding, bias=False)
        self.table = table

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.narrow is None else self.narrow(x)
        return nn.functional.linear(x, self.table.weight)


class PooledHead(nn.Module):
    """(b, n_tokens, d_model) -> (b, n_outputs): the mean token, mapped.

    No class token: pooling does as well (Beyer et al. 2022, "Better plain ViT baselines") and keeps the number of
    tokens divisible.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.project = Linear(plan.d_model, plan.problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x.mean(dim=1))  # type: ignore[no-any-return]
