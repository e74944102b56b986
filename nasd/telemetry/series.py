"""Every Prometheus series of the project, declared once. Labels have few values (study, device kind, state), no ids.

One set belongs to one registry, which its process makes and passes on: there is no global one.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

# ask and tell take about a millisecond; a space search or a refit may take seconds
STEP_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
EVALUATION_BUCKETS_S = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class ControllerSeries:
    """What a controller serves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.build = Info("nasd_build", "Version of the program", registry=registry)
        self._of_studies(registry)
        self._of_loops(registry)

    def _of_studies(self, registry: CollectorRegistry) -> None:
        study, kind = ["study"], ["study", "device_kind"]
        self.trials = Gauge(
            "nasd_trials",
            "Trials by state; in_flight = proposed and not learned",
            ["study", "state"],
            registry=registry,
        )
        self.learned = Counter("nasd_facts_learned", "Facts learned", study, registry=registry)
        self.propose_s = Histogram(
            "nasd_propose_seconds", "Time to propose one trial", study, buckets=STEP_BUCKETS_S, registry=registry
        )
        self.tell_s = Histogram(
            "nasd_tell_seconds",
            "Time to learn one fact, without proposing",
            study,
            buckets=STEP_BUCKETS_S,
            registry=registry,
        )
        self.apply_s = Histogram(
            "nasd_apply_seconds", "Time to store one step", study, buckets=STEP_BUCKETS_S, registry=registry
        )
        self.hypervolume = Gauge(
            "nasd_hypervolume", "Share of the study's scoring box that its front dominates", kind, registry=registry
        )
        self.front_size = Gauge("nasd_front_size", "Members of the Pareto front", kind, registry=registry)

    def _of_loops(self, registry: CollectorRegistry) -> None:
        self.leading = Gauge("nasd_controller_leading", "1 while this controller leads", registry=registry)
        self.queue_depth = Gauge(
            "nasd_queue_depth", "Evaluations that could be leased now", ["device_kind"], registry=registry
        )
        self.rings_waiting = Gauge(
            "nasd_rings_waiting", "Messages in the doorbell's queue", ["device_kind"], registry=registry
        )
        self.rings = Counter("nasd_rings", "Times the doorbell was rung", ["device_kind", "result"], registry=registry)
        self.expiries = Counter("nasd_lease_expiries", "Leases taken back", ["attempt"], registry=registry)
        self.failures = Counter(
            "nasd_loop_failures", "Ticks that failed and were tried again", ["loop"], registry=registry
        )
        self.workers = Gauge("nasd_workers_live", "Workers whose beats move", ["device_kind"], registry=registry)
        self.stalled = Gauge("nasd_stalled", "1 while work waits for a device kind without workers", registry=registry)


class WorkerSeries:
    """What a worker serves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.build = Info("nasd_build", "Version of the program", registry=registry)
        self.evaluations = Counter(
            "nasd_worker_evaluations", "Evaluations that ended", ["stage", "outcome"], registry=registry
        )
        self.evaluation_s = Histogram(
            "nasd_evaluation_seconds",
            "Wall time of one evaluation",
            ["stage"],
            buckets=EVALUATION_BUCKETS_S,
            registry=registry,
        )
        self.activity_s = Gauge(
            "nasd_worker_activity_seconds", "Seconds by activity: busy, paused, idle", ["activity"], registry=registry
        )
        self.busy_fraction = Gauge(
            "nasd_worker_busy_fraction", "Busy over busy and idle time; paused time is left out", registry=registry
        )
        self.refused = Counter("nasd_messages_refused", "Doorbell messages that were not ours", registry=registry)
