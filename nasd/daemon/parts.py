"""Parts of a study's mind from its row: space, strategy, baselines. Knows which concrete ones there are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from nasd import spaces
from nasd.controller.costs import declared_costs
from nasd.controller.kinds import kinds_of
from nasd.controller.memory import memory_of
from nasd.controller.mind import Parts
from nasd.controller.strategy import build_strategy
from nasd.domain.architecture import Architecture, canonical_json
from nasd.domain.data import Problem
from nasd.domain.study import StudySpec
from nasd.ports.trials import Study
from nasd.strategies.base import nothing_known
from nasd.studyfile import spec_to_json


def build_parts(study: Study, *, allow: Collection[str] | None = ()) -> Parts:
    """Everything fresh: a strategy without a cache.

    Args:
        allow: packages that the function of `evaluation.costs` may be imported from, at its first call; None: any.

    Raises:
        UserError: the study names a space or strategy that this version does not have.
    """
    spec, data, kinds = study.spec, study.data, kinds_of(study.spec, study.joined)
    # the user's own evaluation without data: only the genes matter
    space = spaces.build(spec.space, data.problem if data else Problem(input_shape=(1,), n_outputs=1))
    declared = declared_costs(spec, allow=allow)
    baselines = spaces.baselines(space) if spec.strategy.baselines else ()
    return Parts(
        study=study.id,
        spec=spec,
        space=space,
        strategy=build_strategy(
            spec, space, kinds=kinds, counts=space.counts if spec.is_counted_ahead else nothing_known, declared=declared
        ),
        baselines=baselines,
        warm_starts=_warm_starts(spec, baselines),
        declared=declared,
        data=data,
        kinds=kinds,
        memory=memory_of(spec, space, data),
    )


def _warm_starts(spec: StudySpec, baselines: Sequence[tuple[str, Architecture]]) -> tuple[Architecture, ...]:
    """Those that the study found when it was created, without baselines."""
    if spec.warm_start is None:
        return ()
    found = dict.fromkeys(Architecture.from_json(text) for text in spec.warm_start.found)
    taken = {architecture for _, architecture in baselines}
    return tuple(architecture for architecture in found if architecture not in taken)


def settings_hash(study: Study) -> str:
    """Of all that a strategy's cache depends on besides its version: the study without its budget."""
    recipe = {key: value for key, value in spec_to_json(study.spec).items() if key != "budget"}
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:32]
