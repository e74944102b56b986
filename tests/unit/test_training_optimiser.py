"""Our optimisers are torch's, bit for bit: they exist for their imports and speed, and recipes mean the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nasd.domain.study import Optimiser as Kind
from nasd.domain.study import TrainSpec
from nasd.training.optimiser import Optimiser, clip


class Network(nn.Module):
    """With everything that matters: matrices, biases, a scale, and a part that some steps leave out."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(0)
            self.first, self.norm, self.extra, self.last = (
                nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 3)
            )  # fmt: skip

    def forward(self, x: Tensor, *, whole: bool) -> Tensor:
        x = self.norm(self.first(x)).relu()
        return self.last(self.extra(x) if whole else x)


def theirs(network: Network, recipe: TrainSpec) -> Callable[[float], None]:
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser is Kind.ADAMW:
        optimiser: torch.optim.Optimizer = torch.optim.AdamW(groups, fused=True)
    else:
        optimiser = torch.optim.SGD(groups, lr=1.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)

    def step(rate: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = rate
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad()

    return step


def trained(network: Network, step: Callable[[float], None], steps: range) -> list[Tensor]:
    x = torch.randn((16, 8), generator=torch.Generator().manual_seed(0))
    for i in steps:
        network(x, whole=i % 3 != 1).square().mean().backward()
        step(0.05 / (i + 1))
    return list(network.parameters())


RECIPES = [
    TrainSpec(optimiser=Kind.ADAMW, weight_decay=0.05),
    TrainSpec(optimiser=Kind.SGD, weight_decay=0.05),
    TrainSpec(optimiser=Kind.SGD, momentum=0.0),
    TrainSpec(optimiser=Kind.ADAMW, clip_norm=0.1),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["adamw", "nesterov", "sgd", "clipped"])
def test_the_weights_are_those_of_torchs_optimiser(recipe: TrainSpec) -> None:
    """Parameters that a step leaves out are passed over, and their count of steps stands still."""
    torch.set_num_threads(1)
    ours, other = Network(), Network()
    mine = trained(ours, Optimiser(recipe, ours.named_parameters()).step, range(12))
    wanted = trained(other, theirs(other, recipe), range(12))
    # the order of our sum of squares is another than theirs where gradients are clipped
    same = torch.allclose if recipe.clip_norm else torch.equal
    assert all(same(a, b) for a, b in zip(mine, wanted, strict=True))


@pytest.mark.parametrize("recipe", RECIPES[:2], ids=["adamw", "nesterov"])
def test_an_optimiser_goes_on_where_another_was_left(recipe: TrainSpec) -> None:
    """Means, squares, velocities and counts are what a checkpoint must hold."""
    whole, network = Network(), Network()
    wanted = trained(whole, Optimiser(recipe, whole.named_parameters()).step, range(8))
    first = Optimiser(recipe, network.named_parameters())
    trained(network, first.step, range(5))
    second = Optimiser(recipe, network.named_parameters())
    second.restore([[each.clone() for each in group] for group in first.state()])
    found = trained(network, second.step, range(5, 8))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_frozen_parameters_stay_as_they_are() -> None:
    """A pretrained part that the study freezes must not decay either."""
    network = Network()
    network.first.requires_grad_(requires_grad=False)
    before = network.first.weight.clone()
    trained(network, Optimiser(TrainSpec(weight_decay=0.5), network.named_parameters()).step, range(3))
    assert torch.equal(before, network.first.weight)


def test_clipping_scales_all_gradients_together_and_small_ones_not_at_all() -> None:
    """The direction of the step stays."""
    big, small = [torch.full((4,), 3.0), torch.full((4,), 4.0)], [torch.full((4,), 0.3)]
    clip(big, 1.0)
    clip(small, 1.0)
    assert torch.linalg.vector_norm(torch.cat(big)).item() == pytest.approx(1.0, abs=1e-5)
    assert (big[0] / big[1]).tolist() == pytest.approx([0.75] * 4)
    assert small[0].tolist() == pytest.approx([0.3] * 4, abs=1e-7)
