"""Why a study stands still, told so that a person knows what to start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes_trials import live_worker

from nasd.controller.able import kinds_waited_for
from nasd.controller.stall import stall_reason
from nasd.domain.ids import ANYWHERE, DeviceKind, StudyId
from nasd.domain.measurement import Stage
from nasd.ports.fleet import Waiting
from nasd.ports.trials import LiveWorker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EAGER = ("torch-eager",)


def waits(kind: str = "pi5", n: int = 1, *, stage: Stage = Stage.MEASURE, **changes) -> Waiting:
    return Waiting(
        **{
            "study": StudyId(1),
            "study_name": "kitchen",
            "stage": stage,
            "device_kind": DeviceKind(kind),
            "needs": EAGER if stage is Stage.MEASURE else (),
            "n": n,
        }
        | changes
    )


def worker(ago: timedelta = timedelta(0), kind: str = "pi5", **changes) -> LiveWorker:
    return replace(live_worker(kind=kind), last_seen_at=NOW - ago, **changes)


@pytest.mark.parametrize(
    ("waiting", "workers", "reason"),
    [
        ([], [], None),
        ([waits(n=0)], [], None),
        ([waits(n=3)], [worker(timedelta(seconds=2))], None),
        (
            [waits(n=14)],
            [worker(timedelta(hours=3)), worker(kind="local")],
            "14 evaluations wait for pi5, last seen 3 h ago",
        ),
        (
            [waits()],
            [worker(timedelta(minutes=2))],
            "no worker is alive; 1 evaluation waits for pi5, last seen 2 min ago",
        ),
        (
            [waits("local", 2)],
            [],
            "no worker is alive; 2 evaluations wait for local, never seen; start one: nasd worker",
        ),
        (
            [waits(n=4)],
            [worker(kind="local")],
            "4 evaluations wait for pi5, never seen; let one join: nasd device add NAME --kind pi5",
        ),
        (
            [waits(ANYWHERE, 12, stage=Stage.TRAIN)],
            [worker(stages=(Stage.MEASURE,))],
            "12 evaluations wait for a worker that can train",
        ),
        (
            [waits(ANYWHERE, 2, stage=Stage.TRAIN, needs=("gpu",), needs_memory_mib=900)],
            [worker()],
            "2 evaluations wait for a worker that can train with gpu and 900 MiB of memory",
        ),
        ([waits(ANYWHERE, 2, stage=Stage.TRAIN, needs_memory_mib=900)], [worker(memory_mib=900)], None),
        (
            [waits(n=5, needs=("onnxruntime",))],
            [worker()],
            "5 evaluations wait for onnxruntime on pi5: its workers don't offer it",
        ),
        (
            [waits(n=5, needs=(*EAGER, "energy"))],
            [worker()],
            "5 evaluations wait for an energy meter on pi5: its workers have none",
        ),
        (
            [waits(n=5, needs_memory_mib=4000)],
            [worker(memory_mib=2000)],
            "5 evaluations wait for 4000 MiB of memory on pi5: its workers have less",
        ),
        (
            [waits(n=5)],
            [worker(studies=("garden",))],
            "5 evaluations wait for a worker on pi5 that serves kitchen",
        ),
        (
            [waits(n=5, packages=("cam",))],
            [worker(packages=("other",))],
            "5 evaluations wait for a worker on pi5 that may run its code: nasd worker --allow cam",
        ),
        (
            [waits(n=5)],
            [worker(stages=(Stage.TRAIN,)), worker(kind="orin")],
            "5 evaluations wait for a worker on pi5 that can measure",
        ),
        (
            [waits(n=7, needs=("onnxruntime",), lacks="onnx-int8")],
            [worker(offers=("onnxruntime",))],
            "7 evaluations wait for an export to onnx-int8 for pi5, which no worker makes",
        ),
        ([waits(n=7, needs=("onnxruntime",), lacks="onnx")], [worker(kind="local")], None),
        (
            [waits("orin", 2), waits("orin", 1), waits(ANYWHERE, 1, stage=Stage.TRAIN)],
            [worker(timedelta(days=2), kind="orin"), worker(stages=(Stage.MEASURE,))],
            "1 evaluation waits for a worker that can train; 3 evaluations wait for orin, last seen 2 d ago",
        ),
    ],
)
def test_a_stall_is_told_with_its_reason(waiting, workers, reason):
    """A search that stands still without saying why is the worst thing to wake up to."""
    assert stall_reason(waiting, workers, NOW) == reason


def test_everybody_who_could_take_it_is_rung():
    """Work that any device may do would wait for the next poll on a device that was not told."""
    workers = [
        worker(kind="gpubox"),
        worker(kind="laptop", stages=(Stage.TRAIN,)),
        worker(kind="pi5", stages=(Stage.MEASURE,)),
    ]
    assert kinds_waited_for([waits(ANYWHERE, stage=Stage.TRAIN)], workers) == ("gpubox", "laptop")
    assert kinds_waited_for([waits("pi5"), waits("orin", lacks="onnx")], workers) == ("pi5",)
