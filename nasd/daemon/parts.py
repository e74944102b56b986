"""Parts of a study's mind from its row: space, strategy, baselines. Knows which concrete ones there are."""

from __future__ import annotations

import hashlib

from nasd import spaces, strategies
from nasd.controller.mind import Parts
from nasd.controller.objectives import history_limits, history_objectives
from nasd.domain.architecture import canonical_json
from nasd.domain.data import Problem
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec
from nasd.ports.trials import Study
from nasd.strategies.base import Setting, nothing_known
from nasd.studyfile import spec_to_json


def build_parts(study: Study) -> Parts:
    """Everything fresh: a strategy without a cache.

    Raises:
        UserError: the study names a space or strategy that this version does not have.
    """
    spec, data = study.spec, study.data
    # the user's own evaluation without data: only the genes matter
    space = spaces.build(spec.space, data.problem if data else Problem(input_shape=(1,), n_outputs=1))
    return Parts(
        study=study.id,
        spec=spec,
        space=space,
        strategy=strategies.build(spec.strategy, _setting(spec, space)),
        baselines=spaces.baselines(space) if spec.strategy.baselines else (),
        data=data,
    )


def _setting(spec: StudySpec, space: SearchSpace) -> Setting:
    return Setting(
        space=space,
        objectives=history_objectives(spec),
        limits=history_limits(spec),
        costs=space.counts if spec.is_counted_ahead else nothing_known,
    )


def settings_hash(study: Study) -> str:
    """Of all that a strategy's cache depends on besides its version: the study without its budget."""
    recipe = {key: value for key, value in spec_to_json(study.spec).items() if key != "budget"}
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:32]
