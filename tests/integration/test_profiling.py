"""Measuring on this machine: exact memory, a latency that states its conditions, and a short stay in the lock."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from nasd.data import describe
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts, Task
from nasd.domain.measurement import Measurement
from nasd.domain.study import BudgetSpec, MeasureSpec, ObjectiveSpec, StudySpec
from nasd.profiling import memory
from nasd.profiling.measure import measure
from nasd.profiling.sentinel import VERSION
from nasd.profiling.sustained import sustained

SMALL = {"layers": 2, "widths": (128, 128), "activation": "relu", "norm": "none", "dropout": 0.1}
FACTS = DataFacts(
    name="toy", seed=0, input_shape=(1, 8, 8), n_outputs=10, n_train=9, n_validation=9, n_test=9, trivial_error=0.9
)
LARGE = {"layers": 8, "widths": (1024,) * 8, "activation": "gelu", "norm": "batchnorm", "dropout": 0.1}


class Lock:
    """Counts entries and how long they lasted."""

    def __init__(self) -> None:
        self.held_s: list[float] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.held_s.append(time.perf_counter() - started)


class Sleeper:
    """A runner whose passes take two milliseconds at least."""

    conditions: ClassVar[dict[str, object]] = {"runtime": "sleep"}
    n_samples = 1

    def __init__(self) -> None:
        self.n_runs = 0

    def run(self) -> None:
        time.sleep(0.002)
        self.n_runs += 1

    def close(self) -> None: ...


def profile(genes: dict[str, object], lock: Lock | None = None, **how: float) -> dict[str, Measurement]:
    spec = StudySpec(
        name="p",
        measure=MeasureSpec(**how),  # type: ignore[arg-type]
        objectives={"latency_ms": ObjectiveSpec()},
        budget=BudgetSpec(trials=1),
    )
    architecture = Architecture.of("mlp", genes)  # type: ignore[arg-type]
    found = measure(architecture, spec, describe(spec.data), seed=1, exclusive=lock or Lock())
    return {m.name: m for m in found}


def test_a_measurement_says_everything_it_depends_on() -> None:
    """A latency belongs to a runtime, its version, batch, threads and processor; without them none compares."""
    found = profile(SMALL)["latency_ms"]
    assert found.value > 0
    assert found.spread is not None
    conditions = found.conditions
    expected = {"batch": 1, "threads": 1, "runtime": "torch-eager", "precision": "fp32", "torch": torch.__version__}
    assert expected == {name: conditions[name] for name in expected}
    windows = conditions["windows"]
    assert isinstance(windows, list)
    assert 5 <= len(windows) <= 10
    assert sum(window["n"] for window in windows if "is_void" not in window) == found.n
    assert all(w["min"] <= w["p5"] <= w["median"] <= w["p95"] for w in windows)
    assert all(len(w["sentinel_drift"]) == 2 and w["preemptions"] >= 0 for w in windows)
    assert min(w["p5"] for w in windows if "is_void" not in w) == pytest.approx(found.value, abs=1e-4)
    assert conditions["sentinel"]["version"] == VERSION  # type: ignore[index]
    json.dumps(conditions, allow_nan=False)


@pytest.mark.parametrize(
    ("facts", "network", "layout"),
    [
        (FACTS, nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10)), "channels_last"),
        (FACTS, nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), None),
        (replace(FACTS, input_shape=(6,), task=Task.LM, n_outputs=9, vocabulary=9), nn.Embedding(9, 9), None),
    ],
    ids=["images", "features", "tokens"],
)
def test_a_network_is_measured_on_what_it_is_trained_on(
    facts: DataFacts, network: nn.Module, layout: str | None
) -> None:
    """Images laid out as in training, tokens as whole numbers."""
    spec = StudySpec(name="p", objectives={"latency_ms": ObjectiveSpec()}, budget=BudgetSpec(trials=1))
    found, _ = measure(
        Architecture.of("custom", {}), spec, facts, seed=1, exclusive=Lock(), build=lambda _: network
    )  # fmt: skip
    assert found.value > 0
    assert found.conditions.get("memory_format") == layout


def test_the_lock_is_held_for_each_window_alone() -> None:
    """Everybody who trains on this host stands still meanwhile, and goes on between two windows."""
    lock = Lock()
    found = profile(LARGE, lock, windows=4)["latency_ms"]
    windows = found.conditions["windows"]
    assert isinstance(windows, list)
    assert len(lock.held_s) == len(windows) >= 4
    # 8 ms, a call and two readings of the sentinel; the bound leaves room for a busy machine, not for warming up inside
    assert 0.008 <= min(lock.held_s) < 0.1


def test_more_windows_are_taken_while_they_disagree_and_their_number_is_bounded() -> None:
    """A spread that never settles costs twice the windows, and says so."""
    found = profile(SMALL, windows=4, max_spread=1e-9)["latency_ms"]
    windows = found.conditions["windows"]
    assert isinstance(windows, list)
    assert len(windows) == 8
    assert "unsteady" in found.conditions


def test_a_network_a_hundred_times_larger_reads_slower() -> None:
    """Even a noisy machine must order these."""
    assert profile(SMALL)["latency_ms"].value < profile(LARGE)["latency_ms"].value


def test_the_callers_thread_count_is_restored() -> None:
    """The next evaluation in this process trains with the threads it had."""
    torch.set_num_threads(1)
    profile(SMALL, threads=2)
    assert torch.get_num_threads() == 1


def test_memory_is_exact_and_repeatable() -> None:
    """An objective that depended on the allocator would rank hosts, not networks. By hand, batch 4 of float32."""
    found = [profile(SMALL, batch=4)["peak_memory_bytes"].value for _ in range(3)]
    state = 4 * (64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10)
    inputs, two_activations = 4 * 4 * 64, 2 * 4 * 4 * 128
    assert [state + inputs + two_activations] * 3 == found


def test_storages_that_died_are_not_counted_and_views_count_once() -> None:
    """Peak, not sum: of three tensors in a chain two are alive at once; a view is its base."""

    class Chain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + 1
            y = y.view(-1) + 1
            y = y.t() if y.ndim == 2 else y[:]
            return y + 1

    peak = memory.peak_bytes(Chain(), torch.zeros(10, 10))
    assert (peak.state, peak.inputs, peak.new) == (0, 400, 800)


def test_shared_weights_count_once() -> None:
    """Tied layers are one storage."""
    layer = nn.Linear(8, 8, bias=False)
    assert memory.peak_bytes(nn.Sequential(layer, layer), torch.zeros(1, 8)).state == 4 * 64


def test_the_p95_of_a_sustained_run_has_an_interval_and_takes_its_time() -> None:
    """A limit is judged by it; between two stays in the lock orders are obeyed."""
    lock = Lock()
    runner = Sleeper()
    found = sustained(runner, 1.2, exclusive=lock)
    assert (found.name, found.unit) == ("latency_p95_ms", "ms")
    assert 80 < found.n < runner.n_runs  # some warmed up
    low, high = found.conditions["low"], found.conditions["high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 2.0 <= low <= found.value <= high
    assert found.conditions["runtime"] == "sleep"
    assert 1.2 <= found.conditions["seconds"] < 5  # type: ignore[operator]
    assert len(lock.held_s) >= 2


def test_what_a_board_without_torch_needs_imports_none() -> None:
    """A measure-only worker has neither torch nor the room for it."""
    names = "energy machine measuring meters process_memory sentinel sustained thermal windows"
    code = (
        f"import sys; from nasd.profiling import {', '.join(names.split())}; "
        "sys.exit(str([m for m in ('torch', 'scipy', 'sklearn', 'pydantic') if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
