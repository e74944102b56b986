"""CNN modules: what a block is, that every choice trains in one and two dimensions, and what their outputs weigh."""

from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nasd.domain.architecture import Architecture, Gene
from nasd.domain.data import Problem
from nasd.domain.study import SpaceSpec
from nasd.nets import build_module, skeleton
from nasd.nets.parts import Conv1d, Conv2d, GlobalAverage, Linear, Residual, SqueezeExcitation
from nasd.nets.runtime import threads
from nasd.spaces import cnn

SHAPES = {"vectors": (24,), "1-D": (2, 24), "2-D": (3, 9, 8)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
_PER_BLOCK = ("op", "channels", "kernel", "stride", "residual", "se")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two would wait for each other wherever the machine is busy."""
    with threads(1):
        yield


def network(*blocks: tuple[Gene, ...], activation: str = "relu", norm: str = "batchnorm") -> Architecture:
    columns = dict(zip(_PER_BLOCK, zip(*blocks, strict=True), strict=True))
    return Architecture.of("cnn", {"blocks": len(blocks), **columns, "activation": activation, "norm": norm})


def conv(channels: int = 32, *, kernel: int = 3, stride: int = 1, residual: bool = False, se: bool = False, op="conv"):
    return (op, channels, kernel, stride, residual, se)


def pool(op: str, kernel: int = 3, stride: int = 1):
    return (op, None, kernel, stride, None, None)


SKIP = ("skip", None, None, None, None, None)
# together they have every option of every gene (checked below)
NETWORKS = (
    network(conv(64), pool("maxpool", 5, 2), conv(64, residual=True, se=True), activation="gelu", norm="batchnorm"),
    network(conv(256, kernel=7), conv(32, kernel=5, residual=True), SKIP, activation="silu", norm="none"),
    network(
        conv(128, op="separable", stride=2, residual=True),
        *[conv(128, op="separable", residual=True, se=True)] * 2,
        pool("avgpool", 7),
        activation="relu",
        norm="layernorm",
    ),
    *(network(*[conv(32, residual=True)] * n, norm="none") for n in (5, 6, 7, 8)),
)


def problem(shape: tuple[int, ...]) -> Problem:
    return Problem(input_shape=shape, n_outputs=5)


def layers(architecture: Architecture, shape: tuple[int, ...] = (3, 9, 8)) -> list[nn.Module]:
    return list(skeleton(architecture, problem=problem(shape)).children())


def test_the_networks_of_this_file_have_every_option_there_is() -> None:
    """What is trained below is then every choice value of the space."""
    space = cnn.build(SpaceSpec(kind="cnn"), problem((3, 9, 8)))
    declared = {(p.name, value) for p in space.declaration.parameters for value in p.domain.values() or ()}
    assert all(a == space.canonical(a.as_dict()) for a in NETWORKS)
    found = set()
    for architecture in NETWORKS:
        for name, value in architecture.genes:
            found |= {(name, each) for each in (value if isinstance(value, tuple) else (value,)) if each is not None}
    assert declared == found


@every_shape
@pytest.mark.parametrize("architecture", NETWORKS, ids=range(len(NETWORKS)))
def test_every_choice_trains(architecture: Architecture, shape: tuple[int, ...]) -> None:
    """Forward and backward: shapes, a gradient for every weight, and a few steps that lower the loss."""
    module = build_module(architecture, problem=problem(shape), seed=1)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, *shape, generator=generator), torch.arange(8) % 5
    optimiser = torch.optim.SGD(module.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        logits = module(x)
        assert logits.shape == (8, 5)
        loss = nn.functional.cross_entropy(logits, y)
        optimiser.zero_grad()
        loss.backward()
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert len(gradients) == len(list(module.parameters()))
        assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in gradients)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert module.eval()(x[:1]).shape == (1, 5)


def test_a_block_is_operation_norm_excitation_activation() -> None:
    """The order decides what is trained; pools are bare, skips are nothing, a flat sequence costs fewest calls."""
    kinds = [type(layer) for layer in layers(network(conv(se=True), SKIP, pool("maxpool"), conv(op="separable")))]
    assert kinds == [
        *(Conv2d, nn.BatchNorm2d, SqueezeExcitation, nn.ReLU),
        nn.MaxPool2d,
        *(Conv2d, Conv2d, nn.BatchNorm2d, nn.ReLU),
        *(GlobalAverage, Linear),
    ]


def test_a_residual_adds_its_input_before_the_activation() -> None:
    """As in He et al. 2016; after it, what is added could only grow."""
    module = build_module(network(conv(residual=True), norm="none"), problem=problem((32, 6)), seed=0)
    block = cast("nn.Sequential", module)[0]
    assert isinstance(block, Residual)
    nn.init.zeros_(cast("Tensor", block.body.weight))
    x = torch.randn(2, 32, 6)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize(
    ("inputs", "block", "is_projected"),
    [(32, conv(32), False), (32, conv(64), True), (32, conv(32, stride=2), True), (3, conv(op="separable"), True)],
)
def test_a_residual_projects_only_where_shapes_differ(inputs: int, block: tuple, is_projected: bool) -> None:
    """A projection costs weights and time."""
    residual = layers(network((*block[:4], True, False)), (inputs, 8, 8))[0]
    assert isinstance(residual, Residual)
    assert (residual.shortcut is not None) == is_projected


@pytest.mark.parametrize("op", ["conv", "separable"])
def test_a_bias_stands_only_where_no_norm_follows(op: str) -> None:
    """A norm's shift does its work already."""
    for norm, n_biases in (("none", 1), ("batchnorm", 0), ("layernorm", 0)):
        parts = layers(network(conv(op=op, residual=True), norm=norm))[0].modules()
        assert n_biases == sum(part.bias is not None for part in parts if isinstance(part, Conv2d))


def test_padding_takes_no_part_in_pools() -> None:
    """An average over padding would darken the edges, a maximum over zeros would hide negative maps."""
    for op, kernel in (("avgpool", 7), ("maxpool", 5)):
        for shape in ((2, 9), (2, 5, 6)):
            layer = layers(network(pool(op, kernel, 2), conv()), shape)[0]
            assert torch.equal(layer(-torch.ones(1, *shape)).unique(), torch.tensor([-1.0]))


def test_weights_depend_on_the_seed_alone() -> None:
    """A retry on another worker is the same experiment."""
    first, again, other = (
        build_module(NETWORKS[2], problem=problem((3, 9, 8)), seed=s).state_dict() for s in (7, 7, 8)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("op", ["conv", "separable"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_the_signal_keeps_its_size_through_eight_blocks_without_norm(op: str, residual: bool, activation: str) -> None:
    """Else deep networks without norm could not be trained, and the search would learn that norms are all."""
    architecture = network(*[conv(64, op=op, residual=residual)] * 8, activation=activation, norm="none")
    module = cast("nn.Sequential", build_module(architecture, problem=problem((1, 16, 16)), seed=0))
    x = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        deep = module[:-2](x)
    assert 0.1 < deep.square().mean().sqrt() < 5


def test_channels_last_changes_no_result() -> None:
    """Training uses it for images; a layer that assumed the other layout would fail or be wrong."""
    module = build_module(NETWORKS[0], problem=problem((3, 9, 8)), seed=0).eval()
    x = torch.randn(4, 3, 9, 8)
    with torch.no_grad():
        plain = module(x)
        last = module.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last)


class _Outputs(TorchDispatchMode):
    """Adds up the bytes of what operations make anew."""

    n_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.n_bytes += (out[0] if isinstance(out, tuple) else out).nbytes
        return out


@every_shape
def test_activation_bytes_are_those_of_all_layers_outputs(shape: tuple[int, ...]) -> None:
    """What a backward pass keeps decides which batch fits."""
    space, rng = cnn.build(SpaceSpec(kind="cnn"), problem(shape)), np.random.default_rng(0)
    for _ in range(25):
        architecture, outputs, x = space.sample(rng), _Outputs(), torch.empty((1, *shape), device="meta")
        module = skeleton(architecture, problem=problem(shape)).eval()
        with outputs, torch.no_grad():
            module(x)
        counts = space.counts(architecture)
        assert outputs.n_bytes == counts["activation_bytes"]
        assert counts["active_params"] == counts["params"]


def test_one_dimension_uses_one_dimensional_layers() -> None:
    """A height of one would waste a third of every 3x3 kernel."""
    assert [nn.Unflatten, Conv1d, nn.BatchNorm1d, nn.ReLU] == [
        type(part) for part in layers(network(conv()), (24,))[:4]
    ]
