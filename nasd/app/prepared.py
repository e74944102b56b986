"""A study file with everything that is known of it before a search: its data set's facts and its space."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from nasd.app.users import check_costs, check_functions, in_folder, start_hashes
from nasd.app.warm_start import Found, from_file
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts, Problem
from nasd.domain.measurement import Stage
from nasd.domain.recipe import AUGMENTATIONS, check_augmentations, searched
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, StudySpec
from nasd.errors import NotBuiltYet, StudyFileError, UserError
from nasd.studyfile import load, located

_KEY_FIRST = re.compile(r"(data|space|model|train|evaluation|warm_start)(\.[a-z_]+|: )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `nasd plan` and `nasd run` begin with.

    Attributes:
        folder: of the study file, where the user's code and files are.
        warm_start: what the file of `warm_start.architectures` holds.
    """

    folder: Path
    spec: StudySpec
    facts: DataFacts
    space: SearchSpace
    baselines: tuple[Architecture, ...] = ()
    warm_start: Found = field(default_factory=Found)


def prepare(path: Path) -> Prepared:
    """Read a study file, import the functions it names, describe its data and build its space.

    Raises:
        UserError: one sentence; what the file says wrongly has its line before it.
    """
    import nasd.data
    import nasd.spaces

    spec = load(path)
    try:
        with in_folder(path.parent):
            check_functions(spec)
            hashes = start_hashes(spec)
            facts = nasd.data.describe(spec.data, spec.train.task)
        _check_recipe(spec, facts.problem)
        _check_batch(spec, n_train=facts.n_train)
        space = nasd.spaces.build(spec.space, facts.problem)
        baselines = tuple(architecture for _, architecture in nasd.spaces.baselines(space))
        with in_folder(path.parent):
            check_costs(spec, baselines)
        warm_start = Found()
        if spec.warm_start is not None:
            warm_start = from_file(spec.warm_start, space, folder=path.resolve().parent)
    except (NotBuiltYet, StudyFileError):
        raise
    except UserError as error:
        if not _KEY_FIRST.match(str(error)):
            raise
        raise located(path, str(error)) from error
    facts = replace(facts, sha256={**facts.sha256, **hashes})
    return Prepared(
        folder=path.resolve().parent,
        spec=spec,
        facts=facts,
        space=space,
        baselines=baselines if spec.strategy.baselines else (),
        warm_start=warm_start,
    )


def _check_batch(spec: StudySpec, *, n_train: int) -> None:
    """Refuse batches of one sample where our own networks may have BatchNorm, which can't train on them.

    Raises:
        UserError: says whether the recipe or the data are too small.
    """
    norm = spec.space.params.get("norm", ParameterSpec(choice=("batchnorm",)))
    has_batchnorm = spec.space.kind in ("cnn", "mlp") and "batchnorm" in (norm.choice or ())
    if Stage.TRAIN not in spec.stages() or spec.model.build is not None or not has_batchnorm:
        return
    without = 'write norm = ["none", "layernorm"] in [space.params]'
    if n_train == 1:
        problem = "the training split has one sample, and batchnorm needs two in a batch"
        raise UserError(f"data: {problem}. Give more data, or {without}")
    if spec.train.batch == 1:
        raise UserError(f"train.batch = 1: batchnorm needs two samples in a batch. Raise it, or {without}")


def _check_recipe(spec: StudySpec, problem: Problem) -> None:
    """Refuse here what the first training would refuse.

    Raises:
        UserError: an augmentation that these data can't have, set or searched.
    """
    if Stage.TRAIN not in spec.stages():
        return
    check_augmentations({name: getattr(spec.train, name) for name in AUGMENTATIONS}, problem)
    for name in sorted(searched(spec).intersection(AUGMENTATIONS)):
        entry = spec.space.params[name]
        values = entry.choice or entry.int_range or entry.float_range or entry.log_range or ()
        check_augmentations({name: next(filter(None, values), None)}, problem, table="space.params")
