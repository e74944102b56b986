"""ControllerTelemetry: the controller's loops speak to it; it turns what they say into series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from nasd import __version__
from nasd.domain.ids import DeviceKind
from nasd.domain.lifecycle import State
from nasd.telemetry.series import ControllerSeries

LEARNED_STATES = (State.COMPLETED, State.PRUNED, State.INFEASIBLE, State.FAILED, State.CANCELLED)


class ControllerTelemetry:
    """One a process; safe to use from every loop's thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._series = ControllerSeries(registry)
        self._kinds: set[DeviceKind] = set()
        self._series.build.info({"version": __version__})

    def proposed(self, study: str, seconds: float) -> None:
        self._series.propose_s.labels(study).observe(seconds)

    def learned(self, study: str, n_facts: int, seconds: float) -> None:
        """`seconds` for all of them, without the proposals in between."""
        if n_facts == 0:
            return
        self._series.learned.labels(study).inc(n_facts)
        tell = self._series.tell_s.labels(study)
        for _ in range(n_facts):
            tell.observe(seconds / n_facts)

    def applied(self, study: str, seconds: float) -> None:
        self._series.apply_s.labels(study).observe(seconds)

    def study(
        self,
        study: str,
        *,
        tally: Mapping[State, int],
        n_in_flight: int,
        fronts: Mapping[DeviceKind, tuple[int, float | None]],
    ) -> None:
        trials = self._series.trials
        for state in LEARNED_STATES:
            trials.labels(study, state.value).set(tally.get(state, 0))
        trials.labels(study, "in_flight").set(n_in_flight)
        for kind, (size, score) in fronts.items():
            self._series.front_size.labels(study, kind).set(size)
            if score is not None:
                self._series.hypervolume.labels(study, kind).set(score)

    def waiting(self, waiting: Mapping[DeviceKind, int]) -> None:
        self._set_all(self._series.queue_depth, waiting)

    def rings_waiting(self, depths: Mapping[DeviceKind, int]) -> None:
        self._set_all(self._series.rings_waiting, depths)

    def rung(self, kind: DeviceKind, *, reached: bool) -> None:
        self._series.rings.labels(kind, "rung" if reached else "unreachable").inc()

    def expired(self, n: int, *, spent: bool) -> None:
        if n:
            self._series.expiries.labels("spent" if spent else "spared").inc(n)

    def loop_failed(self, loop: str) -> None:
        self._series.failures.labels(loop).inc()

    def live_workers(self, kinds: Iterable[DeviceKind]) -> None:
        counts: dict[DeviceKind, int] = {}
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
        self._set_all(self._series.workers, counts)

    def leading(self, leads: bool) -> None:
        self._series.leading.set(1 if leads else 0)

    def stalled(self, stalled: bool) -> None:
        self._series.stalled.set(1 if stalled else 0)

    def forget(self, study: str) -> None:
        """Drop the gauges of a study that ended, so that they are not read as its present."""
        for gauge in (self._series.trials, self._series.front_size, self._series.hypervolume):
            gauge.remove_by_labels({"study": study})

    def _set_all(self, gauge: Gauge, values: Mapping[DeviceKind, int]) -> None:
        """A kind that is no longer mentioned is at 0, not at what it was."""
        self._kinds.update(values)
        for kind in self._kinds:
            gauge.labels(kind).set(values.get(kind, 0))
