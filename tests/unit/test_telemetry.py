"""The series that a controller and a worker serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.request import urlopen

from prometheus_client import CollectorRegistry

from nasd.daemon.pace import Pace
from nasd.domain.ids import DeviceKind
from nasd.domain.lifecycle import State
from nasd.domain.measurement import OutcomeKind, Stage
from nasd.telemetry.controller import ControllerTelemetry
from nasd.telemetry.server import LOCALHOST, MetricsServer
from nasd.telemetry.worker import WorkerTelemetry, busy_fraction

LOCAL, PI5 = DeviceKind("local"), DeviceKind("pi5")
ALLOWED_LABELS = {"study", "device_kind", "state", "result", "attempt", "loop", "stage", "outcome", "activity", "le"}


@dataclass
class Stats:
    activity_s: dict[str, float] = field(default_factory=dict)


def test_a_kind_that_has_nothing_waiting_reads_zero_not_what_it_was():
    """A gauge that sticks would show a queue that emptied long ago."""
    registry = CollectorRegistry()
    telemetry = ControllerTelemetry(registry)
    telemetry.waiting({LOCAL: 3, PI5: 1})
    telemetry.waiting({PI5: 2})
    assert registry.get_sample_value("nasd_queue_depth", {"device_kind": "local"}) == 0
    assert registry.get_sample_value("nasd_queue_depth", {"device_kind": "pi5"}) == 2


def test_a_study_shows_its_trials_and_front_and_is_forgotten_when_it_ends():
    """What ended must not be read as the present."""
    registry = CollectorRegistry()
    telemetry = ControllerTelemetry(registry)
    telemetry.study("kitchen", tally={State.COMPLETED: 4}, n_in_flight=2, fronts={LOCAL: (3, 0.5), PI5: (1, None)})
    value = registry.get_sample_value
    assert value("nasd_trials", {"study": "kitchen", "state": "completed"}) == 4
    assert value("nasd_trials", {"study": "kitchen", "state": "in_flight"}) == 2
    assert value("nasd_hypervolume", {"study": "kitchen", "device_kind": "local"}) == 0.5
    assert value("nasd_hypervolume", {"study": "kitchen", "device_kind": "pi5"}) is None
    telemetry.forget("kitchen")
    assert value("nasd_front_size", {"study": "kitchen", "device_kind": "local"}) is None


def test_busy_fraction_leaves_pauses_out():
    """A pause for another's measurement is neither work nor idleness."""
    registry = CollectorRegistry()
    stats = Stats({"busy": 9.0, "idle": 1.0, "paused": 90.0})
    WorkerTelemetry(registry, stats=lambda: stats)
    assert registry.get_sample_value("nasd_worker_busy_fraction") == 0.9
    assert registry.get_sample_value("nasd_worker_activity_seconds", {"activity": "paused"}) == 90.0
    assert busy_fraction({}) == 0.0


def test_labels_have_few_values():
    """An id as a label would grow Prometheus without end."""
    registry = CollectorRegistry()
    telemetry, worker = ControllerTelemetry(registry), WorkerTelemetry(CollectorRegistry())
    telemetry.proposed("kitchen", 0.001)
    telemetry.learned("kitchen", 2, 0.002)
    telemetry.rung(LOCAL, reached=False)
    telemetry.expired(1, spent=True)
    telemetry.live_workers([LOCAL])
    worker.evaluated(Stage.TRAIN, OutcomeKind.COMPLETED, 1.0)
    worker.refused()
    samples = [sample for metric in registry.collect() for sample in metric.samples if metric.name != "nasd_build"]
    assert {label for sample in samples for label in sample.labels} <= ALLOWED_LABELS


def test_the_server_answers_on_this_machine_only():
    """Nothing listens publicly by default."""
    registry = CollectorRegistry()
    ControllerTelemetry(registry)
    server = MetricsServer(registry, port=0)
    try:
        with urlopen(f"http://{LOCALHOST}:{server.port}/metrics", timeout=5) as answer:
            assert b"nasd_build_info" in answer.read()
    finally:
        server.close()


def test_pace_is_seconds_of_one_worker_a_trial():
    """The look-ahead is made from it."""
    pace = Pace()
    assert pace.evaluation_s(2) is None
    for now in (0.0, 1.0, 2.0):
        pace.note(now, 4)
    assert pace.evaluation_s(2) == 2 * 2.0 / 8
