"""Exact counts of a transformer from its genes: arithmetic alone, as `nasd.nets.transformer` computes.

params             weights and biases, those of layers that share them once.
active_params      without the experts of a mixture that one token does not use.
flops              of one forward pass of one sample as FlopCounterMode counts them: Linear layers, the products of
                   attention (causal ones in full, as they are computed), the router, and a token's `top_k` experts.
activation_bytes   float32 outputs of all layers for one sample in training: token table or patches, positions, norms,
                   Linear layers, activations, dropouts, residual sums, rotations, the results of attention, the softmax
                   of sparse and the products within chunks of causal linear attention, and for a mixture its router,
                   the rows of its experts at each step and their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasd.domain.data import Problem, Task
from nasd.domain.tokens import Tokens

_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Tally:
    """Of one part of the network: parameters, products (one multiply-add each) and numbers it puts out, a sample."""

    params: int = 0
    products: int = 0
    outputs: int = 0
    unused: int = 0  # parameters that one token does not use

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(
            self.params + other.params,
            self.products + other.products,
            self.outputs + other.outputs,
            self.unused + other.unused,
        )


def counts(genes: Mapping[str, Any], problem: Problem) -> dict[str, int]:
    """All four counts of the module's docstring for canonical `genes`."""
    tokens = Tokens.of(problem, patch=genes.get("patch"), context=genes.get("context"))
    ends = _embedding(genes, problem, tokens) + _head(genes, problem, tokens)
    block = _attention(genes, problem, tokens) + _feed_forward(genes, tokens) + _around(genes, tokens)
    layers = genes["layers"]
    distinct = {"none": layers, "pairs": -(-layers // 2), "all": 1}[genes["sharing"]]
    params = ends.params + distinct * block.params
    return {
        "params": params,
        "active_params": params - distinct * block.unused,
        "flops": 2 * (ends.products + layers * block.products),
        "activation_bytes": _FLOAT32_BYTES * (ends.outputs + layers * block.outputs),
    }


def _linear(rows: int, inputs: int, outputs: int, *, bias: bool = True) -> _Tally:
    return _Tally(inputs * outputs + bias * outputs, rows * inputs * outputs, rows * outputs)


def _embedding(genes: Mapping[str, Any], problem: Problem, tokens: Tokens) -> _Tally:
    """Table or patches, added positions and the dropout behind them."""
    d, n = genes["d_model"], tokens.n
    if problem.vocabulary:
        width = genes["embedding"]
        tally = _Tally(problem.vocabulary * width, 0, n * width)
        tally += _linear(n, width, d, bias=False) if width != d else _Tally()
    else:
        tally = _linear(n, tokens.numbers, d)
    is_added = genes["positions"] != "rotary"
    table = tokens.together * d if genes["positions"] == "learned" else 0
    return tally + _Tally(table, 0, n * d * (is_added + (genes["dropout"] > 0)))


def _head(genes: Mapping[str, Any], problem: Problem, tokens: Tokens) -> _Tally:
    """The last norm of a pre-norm stack and the output; a language model's table was counted as the embedding."""
    d, n = genes["d_model"], tokens.n
    norm = _Tally(2 * d, 0, n * d) if genes["norm_position"] == "pre" else _Tally()
    if problem.task is not Task.LM:
        return norm + _linear(1, d, problem.n_outputs)
    width, vocabulary = genes["embedding"], problem.vocabulary
    narrow = _linear(n, d, width, bias=False) if width != d else _Tally()
    return norm + narrow + _Tally(0, n * width * vocabulary, n * vocabulary)


def _around(genes: Mapping[str, Any], tokens: Tokens) -> _Tally:
    """Both norms, residual sums and dropouts of a layer."""
    d = genes["d_model"]
    return _Tally(4 * d, 0, tokens.n * d * (4 + 2 * (genes["dropout"] > 0)))


def _feed_forward(genes: Mapping[str, Any], tokens: Tokens) -> _Tally:
    d, hidden = genes["d_model"], genes["mlp_ratio"] * genes["d_model"]
    if genes["experts"] == "dense":
        return _linear(tokens.n, d, hidden) + _Tally(outputs=tokens.n * hidden) + _linear(tokens.n, hidden, d)
    n_experts, top_k = genes["n_experts"], genes["top_k"]
    rows = tokens.n * top_k
    expert = d * hidden + hidden + hidden * d + d
    experts = _Tally(
        params=n_experts * expert,
        products=rows * 2 * d * hidden,
        outputs=rows * (2 * hidden + d) + tokens.n * d,
        unused=(n_experts - top_k) * expert,
    )
    return _linear(tokens.n, d, n_experts, bias=False) + experts


def _attention(genes: Mapping[str, Any], problem: Problem, tokens: Tokens) -> _Tally:
    d, n = genes["d_model"], tokens.n
    products, inner = _core(genes, tokens.together, causal=problem.task is Task.LM)
    pieces = n // tokens.together
    rotated = 2 * n * d if genes["positions"] == "rotary" else 0
    core = _Tally(0, pieces * products, pieces * inner + rotated + n * d)
    return _linear(n, d, 3 * d) + core + _linear(n, d, d)


def _core(genes: Mapping[str, Any], tokens: int, *, causal: bool) -> tuple[int, int]:
    """Products of one piece of a sample, and the numbers that its softmax or triangle puts out."""
    d, heads = genes["d_model"], genes["heads"]
    match genes["attention"]:
        case "local":
            block = genes["window"] // 2
            return 2 * d * _cover(tokens, block) * 3 * block, 0
        case "sparse":
            stride = genes["stride"]
            rows, seen = _cover(tokens, stride), stride + -(-tokens // stride)
            return 2 * d * rows * seen, heads * rows * seen
        case "linear" if causal:
            chunk = min(tokens, max(16, d // heads))
            rows = _cover(tokens, chunk)
            return 2 * d * (rows * chunk + (rows - chunk) * (d // heads)), heads * rows * chunk
        case "linear":
            return 2 * d * tokens * (d // heads), 0
        case _:
            return 2 * d * tokens * tokens, 0


def _cover(tokens: int, size: int) -> int:
    """Positions of the whole blocks that hold all tokens."""
    return -(-tokens // size) * size
