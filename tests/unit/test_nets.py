"""Modules: the layers an architecture asks for, and weights that depend on the seed alone."""

import pytest
import torch
from torch import nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.errors import CandidateFault
from nasd.nets import build_module
from nasd.nets.parts import Linear
from nasd.nets.runtime import candidate_memory

GENES = {"layers": 2, "widths": (128, 256), "activation": "silu", "norm": "layernorm", "dropout": 0.1}


def build(seed: int = 0, **genes: object) -> nn.Module:
    architecture = Architecture.of("mlp", {**GENES, **genes})  # type: ignore[dict-item]
    return build_module(architecture, problem=Problem(input_shape=(4,), n_outputs=3), seed=seed)


def test_a_layer_is_linear_norm_activation_dropout() -> None:
    """The order decides what is trained; the head has none of them."""
    layer = [Linear, nn.LayerNorm, nn.SiLU, nn.Dropout]
    assert [*layer, *layer, Linear] == [type(part) for part in build().children()]


def test_parts_that_do_nothing_are_left_out() -> None:
    """They would cost latency and change no result."""
    assert [Linear, nn.SiLU, Linear, nn.SiLU, Linear] == [
        type(part) for part in build(norm="none", dropout=0.0).children()
    ]


def test_weights_depend_on_the_seed_alone_and_leave_torchs_generator_alone() -> None:
    """A retry on another worker is the same experiment, whatever that worker built before."""
    before = torch.random.get_rng_state()
    first = build(7).state_dict()
    torch.rand(3)
    again, other = build(7).state_dict(), build(8).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    torch.random.set_rng_state(before)
    build(9)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_family_is_the_candidates_fault() -> None:
    """No other worker of this version could build it either: a new attempt would be wasted."""
    with pytest.raises(CandidateFault) as caught:
        build_module(Architecture.of("kan", {"blocks": 1}), problem=Problem(input_shape=(4,), n_outputs=3), seed=0)
    assert caught.value.kind == "unsupported"


def test_an_allocation_that_fails_is_the_candidates_fault() -> None:
    """The real allocator, asked for an exbibyte."""
    message = r"training does not fit .* wanted 1152921504606846976 bytes beside \d+ in use of \d+"
    with pytest.raises(CandidateFault, match=message) as caught, candidate_memory("training"):
        torch.empty(1 << 60, dtype=torch.uint8)
    assert caught.value.kind == "out_of_memory"
    assert caught.value.violation is not None
    assert caught.value.violation > 1000


def test_another_runtime_error_passes_through() -> None:
    """A bug must not be filed under the candidate."""
    with pytest.raises(RuntimeError, match="size"), candidate_memory("training"):
        torch.empty(2) + torch.empty(3)
