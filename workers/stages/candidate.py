"""What training and measuring share: the network under the study's [model] table, and its counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from nasd.domain.data import INIT, DataFacts
from nasd.domain.measurement import UNITS, Measurement
from nasd.domain.objective import violation
from nasd.domain.study import ModelSpec, StudySpec
from nasd.errors import CandidateFault, WorldFault
from nasd.nets.counting import count
from nasd.nets.user import Builder
from nasd.training.seeding import weights_seeded
from workers.assignment import Assignment
from workers.hooks import Hooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The assignment's network.

    Attributes:
        build: seed -> module; None: the family's own rule builds it.
        counts: of the real module once it is built, where the space could not count ahead.
    """

    build: Callable[[int], nn.Module] | None
    counts: dict[str, int] = field(default_factory=dict)
    _builder: Builder | None = None
    _is_first: bool = False

    def measured(self, measurements: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
        """`measurements` with what building had to say in their conditions; the first stage adds the counts."""
        notes = {} if self._builder is None else self._builder.notes
        if notes:
            measurements = tuple(replace(one, conditions={**one.conditions, **notes}) for one in measurements)
        counts = self.counts if self._is_first else {}
        counted = tuple(
            Measurement(name, float(value), UNITS[name], conditions=notes) for name, value in counts.items()
        )
        return (*measurements, *counted)


def candidate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> Candidate:
    """The network of `assignment`; nothing is built yet.

    Raises:
        WorldFault: the study has no recorded data, so what its network is asked for is unknown.
    """
    if spec.model == ModelSpec():
        return Candidate(build=None)
    problem = facts_of(assignment, facts).problem
    builder = Builder.of(
        assignment.architecture,
        spec,
        problem,
        seeded=weights_seeded,
        allow=hooks.allow,
        init_sha256=facts_of(assignment, facts).sha256.get(INIT),
    )
    if spec.is_counted_ahead:
        return Candidate(build=builder, _builder=builder)
    counts: dict[str, int] = {}

    def build(seed: int) -> nn.Module:
        module = builder(seed)
        with weights_seeded(seed):  # what a forward pass draws must not move what training draws
            counts.update(count(module, problem))
        _check_limits(spec, counts)
        return module

    is_first = assignment.stage is spec.stages()[0]
    return Candidate(build=build, counts=counts, _builder=builder, _is_first=is_first)


def facts_of(assignment: Assignment, facts: DataFacts | None) -> DataFacts:
    """`facts`, which must be there.

    Raises:
        WorldFault: they are not.
    """
    if facts is None:
        raise WorldFault("no_data_facts", f"study {assignment.study_name}: no input shape recorded; create it again")
    return facts


def _check_limits(spec: StudySpec, counts: Mapping[str, int]) -> None:
    """Refuse to train what is over a limit on its counts.

    Raises:
        CandidateFault: `over_limit`.
    """
    limits = spec.counted_limits()
    overshoot = violation(limits, counts)
    if overshoot > 0:
        shown = ", ".join(f"{limit.of} = {counts[limit.of]:,}" for limit in limits)
        raise CandidateFault("over_limit", f"{shown}: over a hard limit; not trained", violation=overshoot)
