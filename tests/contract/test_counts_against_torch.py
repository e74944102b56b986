"""The analytic counts of every space are torch's own, exactly: params before anything is built, FLOPs likewise."""

from dataclasses import dataclass
from itertools import starmap

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.space import SearchSpace
from nasd.domain.study import SpaceSpec
from nasd.nets import skeleton

IMAGES = Problem(input_shape=(3, 15, 20), n_outputs=10)  # odd sides: what a stride leaves is rounded up
SERIES = Problem(input_shape=(2, 39), n_outputs=7)
_SMALL = SpaceSpec(kind="transformer", preset="small")


def language_model(*, context: int, vocabulary: int) -> Problem:
    return Problem(input_shape=(context,), n_outputs=vocabulary, vocabulary=vocabulary, task=Task.LM)


@dataclass(frozen=True)
class Case:
    """A space, what its networks are for, and how many of them are counted in every run of the tests."""

    spec: SpaceSpec
    problem: Problem
    n_at_once: int = 60

    def space(self) -> SearchSpace:
        return spaces.build(self.spec, self.problem)


CASES = {
    "mlp": Case(SpaceSpec(kind="mlp"), Problem(input_shape=(8, 8), n_outputs=10)),
    "cnn, 2-D": Case(SpaceSpec(kind="cnn"), IMAGES),
    "cnn, 1-D": Case(SpaceSpec(kind="cnn"), SERIES),
    "cnn, vectors": Case(SpaceSpec(kind="cnn"), Problem(input_shape=(64,), n_outputs=10)),
    "cnn, small": Case(SpaceSpec(kind="cnn", preset="small"), IMAGES),
    "transformer, images": Case(
        SpaceSpec(kind="transformer"), Problem(input_shape=(3, 32, 48), n_outputs=10), n_at_once=5
    ),
    "transformer, language": Case(
        SpaceSpec(kind="transformer"), language_model(context=100, vocabulary=64), n_at_once=5
    ),
    "transformer, small, images": Case(_SMALL, Problem(input_shape=(1, 8, 8), n_outputs=10), n_at_once=20),
    "transformer, small, series": Case(_SMALL, Problem(input_shape=(2, 44), n_outputs=7), n_at_once=20),
    "transformer, small, vectors": Case(_SMALL, Problem(input_shape=(18,), n_outputs=3), n_at_once=20),
    "transformer, small, texts": Case(_SMALL, Problem(input_shape=(26,), n_outputs=2, vocabulary=20), n_at_once=20),
    "transformer, small, language": Case(_SMALL, language_model(context=54, vocabulary=33), n_at_once=20),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def torch_counts(architecture: Architecture, problem: Problem, counter: FlopCounterMode) -> dict[str, int]:
    module = skeleton(architecture, problem=problem).eval()
    kind = torch.int64 if problem.vocabulary else torch.float32
    with counter, torch.no_grad():
        module(torch.empty((1, *problem.input_shape), device="meta", dtype=kind))
    return {"params": sum(p.numel() for p in module.parameters()), "flops": counter.get_total_flops()}


def differing(case: Case, *, n: int, seed: int) -> list[Architecture]:
    """Of `n` random architectures, those whose counts aren't torch's."""
    space, rng = case.space(), np.random.default_rng(seed)
    counter = FlopCounterMode(display=False)  # entered anew for each; making one costs as much as counting
    found = []
    for _ in range(n):
        architecture = space.sample(rng)
        counts = space.counts(architecture)
        if torch_counts(architecture, case.problem, counter) != {name: counts[name] for name in ("params", "flops")}:
            found.append(architecture)
    return found


@every_case
def test_counts_equal_torchs_for_random_architectures(case: Case) -> None:
    """Both are objectives and limits; a wrong one would refuse or admit the wrong networks, silently."""
    assert differing(case, n=case.n_at_once, seed=0) == []


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@every_case
def test_counts_equal_torchs_for_a_thousand_architectures(case: Case) -> None:
    """The same, to the number that the space promises; half a minute each, minutes for 32 layers."""
    assert differing(case, n=1000, seed=1) == []


def test_a_bias_counts_as_parameters_and_not_as_flops() -> None:
    """The convention, by hand: 64 -> 128 -> 128 -> 10 with BatchNorm."""
    genes = {"layers": 2, "widths": (128, 128), "activation": "relu", "norm": "batchnorm", "dropout": 0.0}
    space = CASES["mlp"].space()
    weights = sum(starmap(int.__mul__, [(64, 128), (128, 128), (128, 10)]))
    counts = space.counts(space.canonical(genes))
    assert {"params": weights + (128 + 128 + 10) + 2 * (128 + 128), "flops": 2 * weights} == {
        name: counts[name] for name in ("params", "flops")
    }
