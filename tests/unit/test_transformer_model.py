"""Transformers: every choice trains, a language model never looks ahead, shared weights are one."""

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformer_nets import LM, MIXTURE, PROBLEMS, SEQUENCES, TEXTS, architecture, inputs, network, targets

from nasd.domain.architecture import Gene
from nasd.domain.data import Problem, Task
from nasd.errors import CandidateFault
from nasd.nets import build_module
from nasd.nets.auxiliary import HasAuxiliaryLoss
from nasd.nets.runtime import threads
from nasd.nets.transformer.attention import CORES

CHOICES: dict[str, list[dict[str, Gene]]] = {
    "layers": [{"layers": n} for n in (2, 3, 4, 6)],
    "d_model and heads": [{"d_model": d, "heads": h} for d, h in ((32, 1), (48, 3), (64, 4), (96, 8), (128, 2))],
    "mlp_ratio": [{"mlp_ratio": n} for n in (2, 4, 8)],
    "norm_position": [{"norm_position": where} for where in ("pre", "post")],
    "positions": [{"positions": kind} for kind in ("learned", "sinusoidal", "rotary")],
    "attention": [{"attention": kind} for kind in sorted(CORES)],
    "window": [{"attention": "local", "window": n} for n in (2, 4, 8, 16)],
    "stride": [{"attention": "sparse", "stride": n} for n in (2, 4, 8)],
    "experts": [{"experts": "mixture", "n_experts": n, "top_k": k} for n, k in product((2, 4, 8), (1, 2))],
    "sharing": [{"sharing": kind, "layers": 3} for kind in ("none", "pairs", "all")],
    "activation": [{"activation": kind} for kind in ("relu", "gelu", "silu")],
    "dropout": [{"dropout": p} for p in (0.0, 0.1, 0.2)],
}
ENDS: list[tuple[str, dict[str, Gene]]] = [
    *(("images", {"patch": n}) for n in (1, 2)),
    *(("sequences", {"patch": n, "context": c}) for n, c in product((1, 2, 3), (6, 12))),
    *(("features", {"patch": n}) for n in (1, 2, 4)),
    *((kind, {"embedding": e, "context": c}) for kind in ("texts", "lm") for e, c in product((8, 16), (6, 12))),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two would wait for each other wherever the machine is busy."""
    with threads(1):
        yield


def assert_trains(problem: Problem, **genes: Gene) -> None:
    """Forward and backward with the right shapes; every weight has a finite gradient; the loss falls."""
    module, x, y = network(problem, **genes), inputs(problem, 6), targets(problem, 6)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        out = module(x)
        assert out.shape == (6, *problem.output_shape)
        loss = functional.cross_entropy(out.flatten(0, -2), y.flatten())
        losses.append(loss.item())
        if isinstance(module, HasAuxiliaryLoss):
            loss = loss + module.auxiliary_loss()
        optimiser.zero_grad()
        loss.backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.shape == weight.shape
            assert weight.grad.isfinite().all(), name
        optimiser.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "genes", [genes for every in CHOICES.values() for genes in every], ids=lambda genes: str(genes).strip("{}")
)
def test_every_value_of_every_choice_trains(genes: dict[str, Gene]) -> None:
    """What a search may propose must be more than a name."""
    assert_trains(LM if len(genes) % 2 else SEQUENCES, **genes)


@pytest.mark.parametrize(("kind", "genes"), ENDS, ids=str)
def test_every_kind_of_input_trains_with_every_cut(kind: str, genes: dict[str, Gene]) -> None:
    """Images, sequences, features and tokens each have an embedding of their own."""
    assert_trains(PROBLEMS[kind], **genes)


@pytest.mark.parametrize("experts", [{}, MIXTURE], ids=["dense", "mixture"])
@pytest.mark.parametrize(("attention", "positions"), [*product(sorted(CORES), ("learned", "sinusoidal", "rotary"))])
def test_a_later_token_never_changes_earlier_logits(attention: str, positions: str, experts: dict[str, Gene]) -> None:
    """A model that sees the answer would win every search; also with a context that cuts the sample."""
    for context, changed in ((12, 7), (6, 4)):
        genes: dict[str, Gene] = {"attention": attention, "positions": positions, "context": context, **experts}
        module, x = network(LM, embedding=8, **genes).eval(), inputs(LM, 2)
        other = x.clone()
        other[:, changed] = (x[:, changed] + 1) % LM.vocabulary
        with torch.no_grad():
            before, after = module(x), module(other)
        torch.testing.assert_close(before[:, :changed], after[:, :changed], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(before[:, changed:], after[:, changed:], atol=1e-4)


def test_tokens_beyond_the_context_are_not_seen() -> None:
    """`context` is a promise about what a token attends to, not about how much is computed."""
    module, x = network(LM, context=6).eval(), inputs(LM, 1)
    other = x.clone()
    other[:, 2] = (x[:, 2] + 1) % LM.vocabulary
    with torch.no_grad():
        assert torch.equal(module(x)[:, 6:], module(other)[:, 6:])


def test_a_classifier_sees_the_order_of_its_tokens() -> None:
    """Without positions, shuffled patches would give the same logits."""
    x = inputs(SEQUENCES, 2)
    for positions in ("learned", "sinusoidal", "rotary"):
        module = network(SEQUENCES, positions=positions, patch=1).eval()
        with torch.no_grad():
            assert not torch.allclose(module(x), module(x.flip(-1)), atol=1e-3), positions


def test_patches_are_cut_row_by_row() -> None:
    """A patch that mixed rows would still train, only worse."""
    module = network(PROBLEMS["images"], patch=2)
    seen: list[torch.Tensor] = []
    module.embed.project.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    module(x)
    assert seen[0].shape == (1, 6, 8)
    assert torch.equal(seen[0][0, 4], x[0, :, 2:4, 2:4].flatten())  # second row, second column


@pytest.mark.parametrize(("sharing", "n_blocks", "order"), [
    ("none", 5, (0, 1, 2, 3, 4)), ("pairs", 3, (0, 0, 1, 1, 2)), ("all", 1, (0,) * 5),
])  # fmt: skip
def test_layers_that_share_weights_are_one_block(sharing: str, n_blocks: int, order: tuple[int, ...]) -> None:
    """Counted once, trained by every layer that uses it."""
    module = network(SEQUENCES, sharing=sharing, layers=5)
    assert (n_blocks, order) == (len(module.blocks), module.order)
    calls = []
    for i, block in enumerate(module.blocks):
        block.register_forward_hook(lambda *_, i=i: calls.append(i))
    module(inputs(SEQUENCES, 1))
    assert list(order) == calls


def test_a_language_model_reads_and_writes_one_table() -> None:
    """Tied weights are one parameter, and learn from both ends."""
    module = network(LM)
    assert module.head.table is module.embed.table
    names = [name for name, weight in module.named_parameters() if weight.shape == (11, 16)]
    assert names == ["embed.table.weight"]


def test_residual_branches_start_smaller_the_deeper_the_network() -> None:
    """GPT-2's scaling: the sum of 2 * layers branches keeps its size."""
    shallow, deep = (network(TEXTS, layers=n, d_model=64, embedding=64) for n in (2, 8))
    ratio = shallow.blocks[0].attention.out.weight.std() / deep.blocks[0].attention.out.weight.std()
    assert ratio.item() == pytest.approx(2.0, rel=0.05)
    assert shallow.blocks[0].attention.qkv.weight.std().item() == pytest.approx((2 / (4 * 64)) ** 0.5, rel=0.05)


def test_weights_depend_on_the_seed_alone() -> None:
    """Every kind of weight, those of mixtures and tables included, comes from the one generator."""
    before = torch.random.get_rng_state()
    genes: dict[str, Gene] = {**MIXTURE, "embedding": 8}
    first, again, other = (network(LM, seed=seed, **genes).state_dict() for seed in (7, 7, 8))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = {name for name in first if not torch.equal(first[name], other[name])}
    assert {name for name in first if "norm" not in name and "bias" not in name} == drawn


@pytest.mark.parametrize(
    "genes",
    [{"patch": 5}, {"heads": 3}, {"context": 8}, {"patch": 4, "context": 6}, {"heads": 16, "positions": "rotary"}],
    ids=str,
)
def test_sizes_that_do_not_divide_are_the_candidates_fault(genes: dict[str, Gene]) -> None:
    """Genes from outside a space must fail with a sentence, not with a shape error within a layer."""
    with pytest.raises(CandidateFault, match=r"must divide|must be even") as caught:
        build_module(architecture(SEQUENCES, **genes), problem=SEQUENCES, seed=0)
    assert caught.value.kind == "unsupported"


def test_dropout_that_is_not_wanted_is_left_out() -> None:
    """It would cost time and change nothing."""
    kinds = [sum(isinstance(part, nn.Dropout) for part in network(TEXTS, dropout=p).modules()) for p in (0.0, 0.1)]
    assert kinds == [0, 3]


def test_a_language_model_of_two_vocabularies_is_refused() -> None:
    """Tying needs one table."""
    problem = Problem(input_shape=(12,), n_outputs=5, vocabulary=11, task=Task.LM)
    with pytest.raises(ValueError, match="one vocabulary"):
        build_module(architecture(problem), problem=problem, seed=0)
