"""A study over the space of a benchmark table."""

from __future__ import annotations

from dataclasses import replace

from nasd.controller.mind import Parts
from nasd.controller.objectives import history_limits, history_objectives
from nasd.controller.strategy import build_strategy
from nasd.domain.ids import StudyId
from nasd.domain.study import ModelSpec, SpaceSpec, StudySpec
from nasd.errors import UserError
from nasd.simulator.tables import Table
from nasd.spaces import custom

STUDY = StudyId(1)


def table_spec(spec: StudySpec, table: Table) -> StudySpec:
    """The study over the table's space: its own [space], [model], [warm_start] and costs are not looked at.

    Raises:
        UserError: an objective or a limit that the table does not have.
    """
    wanted = {f"objectives.{each.name}": each.name for each in history_objectives(spec)}
    wanted |= {f"limits.of = {each.of}": each.of for each in history_limits(spec)}
    for key, name in wanted.items():
        if name not in table.names:
            has = ", ".join(table.names)
            raise UserError(f"{key}: the table {table.name} does not have it; it has {has}. Ask for one of these")
    evaluation = None if spec.evaluation is None else replace(spec.evaluation, costs=None)
    return replace(spec, space=SpaceSpec(kind=table.name), model=ModelSpec(), evaluation=evaluation, warm_start=None)


def table_parts(spec: StudySpec, table: Table) -> Parts:
    """Everything fresh, for a study that `table_spec` gave. Exact counts are known ahead; nothing else of the table is.

    Raises:
        UserError: no such strategy.
    """
    return Parts(
        study=STUDY,
        spec=spec,
        space=table.space,
        strategy=build_strategy(spec, table.space, counts=table.space.counts),
        baselines=custom.baselines(table.space) if spec.strategy.baselines else (),
    )
