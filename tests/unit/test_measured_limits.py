"""A measured limit ends a trial on the device that saw it broken, with what was measured."""

from dataclasses import replace

import pytest

from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Measurement
from nasd.domain.study import BudgetSpec, LimitSpec, ObjectiveSpec, Scope, Statistic, StudySpec
from workers.stages.limits import OverLimit, refuse_over_limit

PI5 = DeviceKind("pi5")
LATENCY = Measurement("latency_ms", 40.0, "ms")
LIMIT = LimitSpec(of="latency_ms", max=20.0, on="pi5")


def study(*limits: LimitSpec) -> StudySpec:
    objectives = {"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("pi5", "orin"))}
    return StudySpec(name="s", objectives=objectives, limits=limits, budget=BudgetSpec(trials=1))


def test_a_broken_limit_says_by_how_much_and_keeps_what_was_measured():
    """The strategy learns from it, and the row shows it."""
    with pytest.raises(OverLimit, match=r"latency_ms = 40 is over its limit of 20 on pi5; not trained") as caught:
        refuse_over_limit(study(LIMIT), PI5, [LATENCY])

    assert (caught.value.kind, caught.value.violation, caught.value.measurements) == ("over_limit", 1.0, (LATENCY,))


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        (replace(LIMIT, max=40.0), PI5),
        (LIMIT, DeviceKind("orin")),
        (replace(LIMIT, scope=Scope.DEVICE), PI5),
        (LimitSpec(of="val_error", max=0.1), PI5),
        (LimitSpec(of="energy_mj", max=0.1), PI5),
    ],
)
def test_what_is_kept_or_speaks_of_something_else_ends_nothing(limit: LimitSpec, kind: DeviceKind):
    """Other kinds, other quantities, what only a device's front minds, what was not measured."""
    refuse_over_limit(study(limit), kind, [LATENCY])


@pytest.mark.parametrize(("low", "is_broken"), [(19.0, False), (21.0, True)])
def test_a_p95_breaks_its_limit_only_with_its_whole_interval(low: float, is_broken: bool):
    """An interval across the limit is undecided: it is measured again."""
    measured = Measurement("latency_p95_ms", 24.0, "ms", conditions={"low": low, "high": 30.0})
    spec = study(replace(LIMIT, statistic=Statistic.P95))

    if not is_broken:
        return refuse_over_limit(spec, PI5, [measured])
    with pytest.raises(OverLimit, match="latency_p95_ms = 21 is over"):
        refuse_over_limit(spec, PI5, [measured])
    return None


def test_a_lower_limit_is_one_too():
    """Not every quantity is better when it is less."""
    with pytest.raises(OverLimit, match="latency_ms = 40 is under its limit of 50"):
        refuse_over_limit(study(LimitSpec(of="latency_ms", min=50.0, on="pi5")), PI5, [LATENCY])
