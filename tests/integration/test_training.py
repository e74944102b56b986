"""Real training on digits, short: reproducible, interruptible, and honest about candidates that can't be trained."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nasd import spaces
from nasd.data import SearchSplit, describe, search_split
from nasd.domain.architecture import Architecture
from nasd.domain.measurement import Measurement
from nasd.domain.study import BudgetSpec, ObjectiveSpec, SpaceSpec, StudySpec, TrainSpec
from nasd.errors import CandidateFault
from nasd.training import train

RECIPE = TrainSpec(steps=40, batch=64, lr=3e-3)
HARD = {"layers": 3, "widths": (128, 256, 128), "activation": "gelu", "norm": "batchnorm", "dropout": 0.3}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def study(recipe: TrainSpec = RECIPE) -> StudySpec:
    return StudySpec(name="t", train=recipe, objectives={"val_error": ObjectiveSpec()}, budget=BudgetSpec(trials=1))


def run(
    *,
    seed: int = 3,
    recipe: TrainSpec = RECIPE,
    genes: dict[str, object] = HARD,
    split: SearchSplit | None = None,
    at_step: Callable[[int], None] = lambda _: None,
) -> dict[str, Measurement]:
    spec = study(recipe)
    found = train(
        Architecture.of("mlp", genes),  # type: ignore[arg-type]
        spec,
        split or search_split(spec.data),
        seed=seed,
        steps=recipe.steps,
        at_step=at_step,
    )
    return {m.name: m for m in found}


def values(found: dict[str, Measurement]) -> dict[str, float]:
    return {name: m.value for name, m in found.items()}


def test_same_architecture_and_seed_give_the_same_bits() -> None:
    """Front members are reproduced from rows; dropout, data order and weights all come from the seed."""
    first = run()
    torch.rand(7)  # another evaluation ran in between
    assert values(first) == values(run())
    assert values(first) != values(run(seed=4))


def test_the_global_generator_is_left_as_it_was() -> None:
    """What runs next in this process must not depend on what was trained before it."""
    before = torch.random.get_rng_state()
    run(recipe=TrainSpec(steps=3, batch=64))
    assert torch.equal(before, torch.random.get_rng_state())


def test_measurements_carry_unit_spread_count_and_conditions() -> None:
    """A float alone is not a result."""
    found = run()
    assert {"val_error", "val_loss", "train_loss"} == set(found)
    assert 0 <= found["val_error"].value < 0.5
    assert (found["val_error"].n, found["val_error"].unit) == (360, "fraction")
    conditions = found["val_error"].conditions
    facts = describe(study().data)
    recorded = {"train": facts.sha256["train"], "validation": facts.sha256["validation"]}
    assert {"name": "digits", "sha256": recorded} == conditions["data"]
    expected = {"steps": 40, "batch": 64, "lr": 3e-3, "precision": "float32", "threads": 1, "seed": 3}
    assert expected == {name: conditions[name] for name in expected}
    assert conditions["seconds"] > 0  # type: ignore[operator]


def test_at_step_is_called_before_every_step_and_what_it_raises_passes() -> None:
    """Draining, pruning and abandoning all come in through it."""
    seen: list[int] = []

    class Stop(Exception):
        pass

    def at_step(step: int) -> None:
        seen.append(step)
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(at_step=at_step)
    assert seen == [0, 1, 2, 3, 4, 5]
    seen.clear()
    run(recipe=TrainSpec(steps=4, batch=64), at_step=seen.append)
    assert seen == [0, 1, 2, 3]


def test_a_learning_rate_without_measure_is_the_candidates_fault() -> None:
    """Real divergence: the loss overflows, and no value is made up for it."""
    deep = {"layers": 8, "widths": (128,) * 8, "activation": "relu", "norm": "none", "dropout": 0.0}
    with pytest.raises(CandidateFault) as caught:
        run(recipe=TrainSpec(steps=60, batch=64, lr=1e4), genes=deep)
    assert (caught.value.kind, caught.value.violation) == ("diverged", None)


def test_a_batch_larger_than_the_split_is_the_whole_split() -> None:
    """A recipe made for a larger data set still runs, and says what it used."""
    found = run(recipe=TrainSpec(steps=2, batch=5000))
    assert found["val_error"].conditions["batch"] == 1077


@pytest.mark.slow
def test_hand_made_networks_learn_digits() -> None:
    """The example's promise: medium reaches 97 % under the recommended recipe."""
    recipe = TrainSpec(steps=150, batch=64, lr=3e-3)
    space = spaces.build(SpaceSpec(), input_shape=(64,), n_outputs=10)
    for name, architecture in spaces.baselines(space)[:2]:
        errors = [
            run(seed=seed, recipe=recipe, genes=architecture.as_dict())["val_error"].value  # type: ignore[arg-type]
            for seed in range(2)
        ]
        assert np.mean(errors) <= 0.03, name
