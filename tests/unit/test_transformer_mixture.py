"""Mixtures: the same function as a plain loop over experts, and a loss that spreads the load."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformer_nets import LM, MIXTURE, SEQUENCES, inputs, network, one_mixture

from nasd.nets.auxiliary import HasAuxiliaryLoss
from nasd.nets.runtime import threads
from nasd.nets.transformer.mixture import Mixture, balance

sizes = pytest.mark.parametrize(("n_experts", "top_k"), [(4, 1), (4, 2), (8, 2), (2, 2), (2, 1)])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two would wait for each other wherever the machine is busy."""
    with threads(1):
        yield


def dense(mixture: Mixture, x: Tensor) -> Tensor:
    """Every expert on every token, weighted by the router, 0 where it was not chosen."""
    probabilities = mixture.router(x).softmax(dim=-1)
    kept, chosen = probabilities.topk(mixture.top_k, dim=-1)
    weights = torch.zeros_like(probabilities).scatter(-1, chosen, kept)
    if mixture.top_k > 1:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    e = mixture.experts
    total = torch.zeros_like(x)
    for i in range(mixture.n_experts):
        y = functional.gelu(x @ e.up[i] + e.up_bias[i]) @ e.down[i] + e.down_bias[i]
        total = total + weights[..., i, None] * y
    return total


@sizes
def test_a_mixture_equals_a_loop_over_all_experts(n_experts: int, top_k: int) -> None:
    """Sorting tokens by expert saves work; it must not change a result or a gradient."""
    mixture = one_mixture(n_experts, top_k)
    x = torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    ours, theirs = mixture(x), dense(mixture, x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    leaves = [x, *mixture.parameters()]
    pull = torch.linspace(-1, 1, x.numel()).view_as(x)
    for a, b in zip(
        torch.autograd.grad((ours * pull).sum(), leaves),
        torch.autograd.grad((theirs * pull).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_an_unused_expert_has_a_gradient_of_zeros() -> None:
    """An optimiser that skips weights without a gradient would decay some experts and not others."""
    mixture = one_mixture(4, 1)
    mixture(torch.ones(1, 1, 8)).sum().backward()
    used = [bool(grad.any()) for grad in mixture.experts.up.grad.unbind()]
    assert used.count(True) == 1


def test_the_balancing_loss_is_switchs() -> None:
    """By hand: 3 of 4 assignments to expert 0, mean probabilities 0.6 and 0.4: 2 * (0.75 * 0.6 + 0.25 * 0.4)."""
    probabilities = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    torch.testing.assert_close(balance(torch.tensor([3, 1]), probabilities), torch.tensor(1.1))
    torch.testing.assert_close(balance(torch.tensor([2, 2]), torch.full((4, 2), 0.5)), torch.tensor(1.0))


@pytest.mark.parametrize("sharing", ["none", "all"])
def test_a_networks_auxiliary_loss_is_the_weighted_sum_over_layers(sharing: str) -> None:
    """Also where layers share one mixture: each use of it is balanced."""
    module = network(SEQUENCES, sharing=sharing, layers=3, **MIXTURE)
    assert isinstance(module, HasAuxiliaryLoss)
    seen: list[Tensor] = []

    def routed(mixture: Mixture, args: tuple[Tensor, ...]) -> None:
        probabilities = mixture.router(args[0].flatten(0, 1)).softmax(-1)
        load = torch.bincount(probabilities.topk(mixture.top_k).indices.flatten(), minlength=mixture.n_experts)
        seen.append(mixture.n_experts * (load / load.sum() * probabilities.mean(0)).sum())

    for part in module.modules():
        if isinstance(part, Mixture):
            part.register_forward_pre_hook(routed)
    for _ in range(2):  # the second pass forgets the first
        seen.clear()
        module(inputs(SEQUENCES, 5))
        assert len(seen) == 3
        torch.testing.assert_close(module.auxiliary_loss(), 0.01 * torch.stack(seen).sum())


def test_only_training_has_an_auxiliary_loss_and_only_mixtures_have_one() -> None:
    """Validation would else keep graphs alive, and every other network would be asked for nothing."""
    module = network(LM, **MIXTURE)
    module.eval()(inputs(LM, 2))
    with pytest.raises(RuntimeError, match="training mode"):
        module.auxiliary_loss()
    assert not isinstance(network(LM), HasAuxiliaryLoss)


def test_training_with_the_balancing_loss_evens_the_load() -> None:
    """Routing that starts lopsided: with the loss it evens out, without it it stays as it is."""

    def load_after(weight: float) -> Tensor:
        mixture = one_mixture(4, 1)
        with torch.no_grad():
            mixture.router.weight[0] += 0.5  # of inputs that are positive on average
        x = torch.randn(1, 128, 8, generator=torch.Generator().manual_seed(2)) + 0.5
        optimiser = torch.optim.AdamW(mixture.parameters(), lr=2e-2)
        for _ in range(40):
            mixture.balances.clear()
            loss = functional.mse_loss(mixture(x), x) + weight * mixture.balances[0]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return torch.bincount(mixture.router(x)[0].argmax(-1), minlength=4) / 128

    without, with_loss = load_after(0.0), load_after(1.0)
    assert without.max() > 0.6
    assert with_loss.max() < 0.4
    assert with_loss.min() > 0.1


def test_stacked_experts_start_like_single_layers() -> None:
    """Xavier of the three-dimensional tensor as a whole would be wrong by a factor that grows with n_experts."""
    mixture = one_mixture(8, 2)
    std = (2 / (8 + 16)) ** 0.5
    assert mixture.experts.up.std().item() == pytest.approx(std, rel=0.1)
    assert nn.init.xavier_normal_(torch.empty(400, 800)).std().item() == pytest.approx((2 / 1200) ** 0.5, rel=0.02)
