"""Attention kinds against a dense softmax with the corresponding mask, and what rotary positions promise."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from nasd.domain.architecture import Architecture, Gene
from nasd.domain.data import Problem, Task
from nasd.nets.runtime import threads
from nasd.nets.transformer.attention import CORES, Core
from nasd.nets.transformer.plan import Plan
from nasd.nets.transformer.positions import Rotary, Sinusoidal

GENES: dict[str, Gene] = {
    "layers": 2, "d_model": 16, "heads": 2, "mlp_ratio": 2, "norm_position": "pre", "positions": "learned",
    "attention": "full", "experts": "dense", "sharing": "none", "activation": "gelu", "dropout": 0.0,
}  # fmt: skip
LENGTHS = (1, 2, 7, 12, 16, 41)
both_directions = pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two would wait for each other wherever the machine is busy."""
    with threads(1):
        yield


def core(attention: str, tokens: int, *, causal: bool, rotary: bool = False, **genes: Gene) -> Core:
    task = Task.LM if causal else Task.CLASSIFICATION
    architecture = Architecture.of("transformer", {**GENES, "attention": attention, **genes})
    plan = Plan.of(architecture, Problem(input_shape=(tokens,), n_outputs=5, vocabulary=5, task=task))
    return CORES[attention](plan, Rotary(tokens, plan.d_head) if rotary else None)


def queries_keys_values(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 2, 2, tokens, 8, generator=generator).unbind()
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def dense(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~visible, float("-inf"))
    return scores.softmax(dim=-1) @ v


def distances(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    i, j = torch.arange(tokens)[:, None], torch.arange(tokens)
    return i, j, i - j


def assert_equals_dense(module: Core, tokens: int, visible: Tensor) -> None:
    """Results and gradients."""
    inputs = queries_keys_values(tokens)
    ours, theirs = module(*inputs), dense(*inputs, visible)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((theirs * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@both_directions
@pytest.mark.parametrize("tokens", LENGTHS)
def test_full_attention_is_the_dense_one(causal: bool, tokens: int) -> None:
    """The reference itself, through torch's fused kernel."""
    _, _, ago = distances(tokens)
    assert_equals_dense(core("full", tokens, causal=causal), tokens, ago >= 0 if causal else ago > -tokens)


@both_directions
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("window", [2, 4, 8])
def test_local_attention_is_the_dense_one_with_a_band(causal: bool, tokens: int, window: int) -> None:
    """Blocks, padding and lengths that the window does not divide must not show in the result."""
    _, _, ago = distances(tokens)
    band = (ago >= 0) & (ago < window) if causal else ago.abs() <= window // 2
    assert_equals_dense(core("local", tokens, causal=causal, window=window), tokens, band)


@both_directions
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("stride", [2, 4, 5])
def test_sparse_attention_is_the_dense_one_with_blocks_and_strides(causal: bool, tokens: int, stride: int) -> None:
    """The two parts share one softmax; a token in both must not be counted twice."""
    i, j, ago = distances(tokens)
    visible = (i // stride == j // stride) | (ago % stride == 0)
    assert_equals_dense(
        core("sparse", tokens, causal=causal, stride=stride), tokens, visible & (ago >= 0) if causal else visible
    )


@both_directions
@pytest.mark.parametrize("rotary", [False, True], ids=["plain", "rotary"])
@pytest.mark.parametrize("tokens", LENGTHS)
def test_linear_attention_equals_its_quadratic_form(causal: bool, rotary: bool, tokens: int) -> None:
    """Sums over chunks are an order of summation, not another function."""
    q, k, v = queries_keys_values(tokens)
    _, _, ago = distances(tokens)
    visible = (ago >= 0 if causal else ago > -tokens).float()
    turn = Rotary(tokens, 8) if rotary else torch.nn.Identity()
    fq, fk = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
    expected = (turn(fq) @ turn(fk).mT * visible) @ v / (fq @ fk.mT * visible).sum(-1, keepdim=True)
    module = core("linear", tokens, causal=causal, rotary=rotary)
    torch.testing.assert_close(module(q, k, v), expected, atol=1e-4, rtol=1e-4)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    """What makes rotary positions relative: shifting query and key together changes nothing."""
    rotary, tokens = Rotary(32, 8), 32
    q, k, _ = queries_keys_values(1)
    everywhere = (1, 1, tokens, 1)
    products = rotary(q.repeat(*everywhere)) @ rotary(k.repeat(*everywhere)).mT  # (2, 2, tokens, tokens)
    for shift in (1, 5, 11):
        torch.testing.assert_close(products[..., shift:, shift:], products[..., :-shift, :-shift], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(products[..., 0, 1], products[..., 0, 9], atol=1e-3)


@both_directions
@pytest.mark.parametrize("attention", sorted(CORES))
def test_rotary_reaches_every_kind_of_attention(causal: bool, attention: str) -> None:
    """Without positions a kind would take a sequence for a set, unnoticed."""
    genes: dict[str, Gene] = {"window": 4, "stride": 4}
    plain, turned = (core(attention, 12, causal=causal, rotary=rotary, **genes) for rotary in (False, True))
    inputs = queries_keys_values(12)
    assert not torch.allclose(plain(*inputs), turned(*inputs), atol=1e-3)


def test_sinusoids_are_the_papers() -> None:
    """Vaswani et al. 2017, section 3.5: sin(pos / 10000^(2i / d)) in column 2i, the cosine beside it."""
    table = Sinusoidal(20, 6).table
    position, pair = 13, 2
    angle = torch.tensor(position / 10_000 ** (2 * pair / 6))
    torch.testing.assert_close(table[position, 2 * pair : 2 * pair + 2], torch.stack((angle.sin(), angle.cos())))
