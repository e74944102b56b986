"""Device kinds that join a study that has trials, and what is measured on them of the trials that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nasd.controller.mind import StudyMind
from nasd.controller.stages import CHEAP_PRIORITY, export, measurement
from nasd.domain.ids import ANYWHERE, DeviceKind, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.ports.trials import NewEvaluation, Wanted


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step carries of kinds that join and of measurements that an operator asked for."""

    joined: Mapping[str, int] = field(default_factory=dict)
    granted: Mapping[DeviceKind, Wanted] = field(default_factory=dict)
    rounds: tuple[tuple[TrialNumber, NewEvaluation], ...] = ()


def take_on(mind: StudyMind) -> Taken:
    """What `mind` has not told the rows of yet; empties its list. The trials of this step are in its history."""
    joined, mind.joining = dict(mind.joining), {}
    wanted, mind.wanted = dict(mind.wanted), {}
    rounds: dict[TrialNumber, list[NewEvaluation]] = {}
    for kind, which in wanted.items():
        for number in _numbers(mind, kind, which):
            rounds.setdefault(number, []).extend(_evaluations(mind, number, kind))
    once = [(number, new) for number, some in rounds.items() for new in dict.fromkeys(some)]
    return Taken(joined=joined, granted=wanted, rounds=tuple(once))


def _numbers(mind: StudyMind, kind: DeviceKind, which: Wanted) -> Iterator[TrialNumber]:
    """The trials to be measured on `kind`: those that it knows nothing of.

    What was in flight when the kind joined has no measurement on it planned: it is taken with the completed ones.
    """
    since, front = mind.kinds.since.get(kind, 0), mind.fronts[kind]
    on_fronts = {number for other in mind.fronts.values() for number in other.members}
    for number in map(TrialNumber, range(len(mind.history))):
        state = mind.history.state(number)
        if state is None:
            if number < since:
                yield number
        elif state is State.COMPLETED and (which is Wanted.ALL or number in on_fronts):
            yield from () if front.is_measured(number, mind.history) else (number,)


def _evaluations(mind: StudyMind, number: TrialNumber, kind: DeviceKind) -> Iterator[NewEvaluation]:
    """The measurement, then the export that makes its file, which the rows leave out where the file is there."""
    spec, architecture, memory = mind.spec, mind.history.architectures[number], mind.parts.memory
    memory_mib = memory(architecture, Stage.MEASURE, kind)
    yield measurement(spec, kind, priority=CHEAP_PRIORITY, memory_mib=memory_mib, is_required=False)
    if spec.device_on(kind).artifact is not None:
        yield export(spec, memory_mib=memory(architecture, Stage.EXPORT, ANYWHERE))
