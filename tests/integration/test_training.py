"""Real training on digits, short: reproducible, interruptible, and honest about candidates that can't be trained."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from nasd import spaces
from nasd.data import SearchSplit, describe, search_split
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.measurement import Measurement
from nasd.domain.study import BudgetSpec, ObjectiveSpec, Optimiser, Precision, SpaceSpec, StudySpec, TrainSpec
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
    **options: object,
) -> dict[str, Measurement]:
    spec = study(recipe)
    found = train(
        Architecture.of("mlp", genes),  # type: ignore[arg-type]
        spec,
        split or search_split(spec.data),
        seed=seed,
        steps=recipe.steps,
        at_step=at_step,
        **options,  # type: ignore[arg-type]
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


def test_validating_on_the_way_changes_nothing_and_is_reported() -> None:
    """Pruning reads the curve; a study that asks for one must get the same networks as one that does not."""
    seen: list[tuple[int, dict[str, float]]] = []
    found = run(
        recipe=replace(RECIPE, validate_every=15), report=lambda step, values: seen.append((step, dict(values)))
    )
    assert values(found) == values(run())
    assert [step for step, _ in seen] == [15, 30]
    assert found["val_error"].conditions["curve"] == [{"step": step, **known} for step, known in seen]
    assert seen[0][1]["val_loss"] > found["val_loss"].value


class Interrupted(BaseException):
    """As the worker's order to stop is."""


class Memory:
    """A checkpoint's place that any number of trainings share."""

    content: bytes | None = None

    def load(self) -> bytes | None:
        return self.content

    def save(self, content: bytes) -> None:
        self.content = content


def conv(seed: int) -> nn.Module:
    """Convolutions, BatchNorm's statistics, dropout."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
            nn.Linear(8 * 64, 10),
        )  # fmt: skip


DEMANDING = TrainSpec(
    steps=24, batch=64, flip=True, crop=1, noise=0.1, mixup=0.3, label_smoothing=0.1, clip_norm=1.0, validate_every=10
)


@pytest.mark.parametrize("optimiser", list(Optimiser))
def test_a_training_resumed_twice_is_the_training_that_was_never_stopped(optimiser: Optimiser) -> None:
    """Weights and measurements, bit for bit, wherever it was stopped and in whichever way it was taken up again."""
    recipe = replace(DEMANDING, optimiser=optimiser)
    networks: list[nn.Module] = []

    def attempt(place: Memory | None, *, until: int | None = None) -> dict[str, Measurement]:
        def build(seed: int) -> nn.Module:
            networks.append(conv(seed))
            return networks[-1]

        def at_step(step: int) -> None:
            if step == until:
                raise Interrupted

        return run(recipe=recipe, build=build, at_step=at_step, checkpoint=place, checkpoint_every_s=0)

    whole = attempt(None)
    place = Memory()
    for until in (7, 19):
        torch.rand(5)
        with pytest.raises(Interrupted):
            attempt(place, until=until)
    resumed = attempt(place)
    assert values(resumed) == values(whole)
    assert [m.spread for m in resumed.values()] == [m.spread for m in whole.values()]
    assert resumed["val_error"].conditions["curve"] == whole["val_error"].conditions["curve"]
    assert resumed["val_error"].conditions["resumed_at"] == [7, 19]
    first, last = networks[0].state_dict(), networks[-1].state_dict()
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_a_checkpoint_of_another_recipe_is_not_taken() -> None:
    """Half a training under one learning rate and half under another is no experiment."""
    place = Memory()
    with pytest.raises(Interrupted):
        run(checkpoint=place, checkpoint_every_s=0, at_step=stop_at(9))
    assert place.content is not None
    other = replace(RECIPE, lr=1e-3)
    assert values(run(recipe=other, checkpoint=place)) == values(run(recipe=other))


def stop_at(limit: int) -> Callable[[int], None]:
    def at_step(step: int) -> None:
        if step == limit:
            raise Interrupted

    return at_step


def toy(task: Task) -> SearchSplit:
    """Something of each task that a small network learns in a second."""
    rng = np.random.default_rng(0)
    n, vocabulary = 1200, 12
    if task is Task.LM:  # each token follows from the two before it
        text = [1, 2]
        for _ in range(n):
            text.append((3 * text[-1] + text[-2] + 1) % vocabulary)
        x, y = (sliding_window_view(np.array(part), 6) for part in (text[:-1], text[1:]))
        parts = {"n_outputs": vocabulary, "vocabulary": vocabulary}
    else:
        x = rng.normal(size=(n, 6)).astype(np.float32)
        signal = np.stack([x[:, 0] + x[:, 1], x[:, 2] - x[:, 3]], axis=1)
        y = signal * [100, 0.01] + [7, -3] if task is Task.REGRESSION else signal > 0
        y, parts = y.astype(np.float32), {"n_outputs": 2}
    return SearchSplit(
        name="toy", task=task, sha256={}, train_x=x[:900], train_y=y[:900], validation_x=x[900:], validation_y=y[900:],
        **parts,
    )  # fmt: skip


class NextToken(nn.Module):
    """Reads the last two tokens."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 32)
        self.out = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, vocabulary))

    def forward(self, x: Tensor) -> Tensor:
        one = self.embedding(x)  # (b, context, 32)
        return self.out(torch.cat([one, one.roll(1, dims=1)], dim=2))


@pytest.mark.parametrize(
    ("task", "largest_error"), [(Task.REGRESSION, 0.05), (Task.MULTILABEL, 0.1), (Task.LM, 0.25)], ids=str
)
def test_every_task_is_learned(task: Task, largest_error: float) -> None:
    """Through the same loop; a language model's first token can't be known from the one before it alone."""
    split = toy(task)

    def build(seed: int) -> nn.Module:
        torch.random.default_generator.manual_seed(seed)
        return (
            NextToken(split.vocabulary)
            if task is Task.LM
            else nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
        )

    recipe = TrainSpec(task=task, steps=250, batch=64, lr=1e-2)
    found = run(recipe=recipe, split=split, build=build)
    assert found["val_error"].value < largest_error
    assert found["val_error"].n == len(split.validation_y)
    trivial = {Task.REGRESSION: 1.0, Task.MULTILABEL: np.log(2), Task.LM: np.log(12)}[task]
    assert found["val_loss"].value < trivial / 2
    assert found["train_loss"].value < trivial / 2


def test_a_metric_of_the_users_own_sees_their_units() -> None:
    """Predictions and targets as the data gave them, of the validation split and no other."""
    split, calls = toy(Task.REGRESSION), []

    def largest_miss(predictions: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        calls.append(targets)
        return {"miss": float(np.abs(predictions - targets).max()), "n": len(targets)}

    recipe = TrainSpec(task=Task.REGRESSION, steps=20, batch=64, metric="mine.own:largest_miss")
    found = run(recipe=recipe, split=split, build=lambda _: nn.Linear(6, 2), metric=largest_miss)
    assert np.allclose(calls[0], split.validation_y, rtol=1e-4)
    assert found["n"].value == 300
    assert 1 < found["miss"].value < 1000


def test_bfloat16_is_used_where_it_is_asked_for_and_said() -> None:
    """Never by itself on a CPU: there it depends on the network whether it helps."""
    usual, half = run(recipe=TrainSpec(steps=30)), run(recipe=TrainSpec(steps=30, precision=Precision.BFLOAT16))
    assert usual["val_error"].conditions["precision"] == "float32"
    assert half["val_error"].conditions["precision"] == "bfloat16"
    assert 0 < abs(half["val_loss"].value - usual["val_loss"].value) < 0.1


def test_a_network_with_nothing_to_train_is_refused() -> None:
    """Its loss could not even be differentiated."""
    frozen = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(requires_grad=False)
    with pytest.raises(CandidateFault, match="no parameter that can be trained"):
        run(build=lambda _: frozen)


_TIGHT = """
import resource, torch
from torch import nn
from test_training import TrainSpec, run
torch.set_num_threads(1)
build = lambda _: nn.Sequential(nn.Flatten(), nn.Linear(64, 40_000), nn.ReLU(), nn.Linear(40_000, 10))
recipe = TrainSpec(steps=2, batch=1024)
run(recipe=TrainSpec(steps=1, batch=8), build=build)  # whatever is loaded or kept at first use
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 260 * 2**20, resource.RLIM_INFINITY))
print(run(recipe=recipe, build=build)["val_error"].conditions["micro_batch"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_a_real_lack_of_memory_splits_the_batch() -> None:
    """1,024 samples want 156 MiB for each of several layers' outputs, beside 260 MiB that there are."""
    done = subprocess.run(
        [sys.executable, "-c", _TIGHT], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (128, 256, 512)


@pytest.mark.slow
def test_hand_made_networks_learn_digits() -> None:
    """The example's promise: medium reaches 97 % under the recommended recipe."""
    recipe = TrainSpec(steps=150, batch=64, lr=3e-3)
    space = spaces.build(SpaceSpec(), Problem(input_shape=(64,), n_outputs=10))
    for name, architecture in spaces.baselines(space)[:2]:
        errors = [
            run(seed=seed, recipe=recipe, genes=architecture.as_dict())["val_error"].value  # type: ignore[arg-type]
            for seed in range(2)
        ]
        assert np.mean(errors) <= 0.03, name
