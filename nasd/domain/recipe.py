"""Recipe parameters: searched settings of training, which are genes like others but go to [train], not to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from nasd.domain.architecture import Architecture, Gene
from nasd.domain.data import Problem
from nasd.domain.study import Optimiser, Role, Scalar, StudySpec, TrainSpec
from nasd.errors import UserError

SEARCHABLE = (
    "clip_norm",
    "crop",
    "flip",
    "label_smoothing",
    "lr",
    "mixup",
    "momentum",
    "noise",
    "optimiser",
    "warmup",
    "weight_decay",
)
AUGMENTATIONS = ("crop", "flip", "mixup", "noise")
_ALONG_POSITIONS = frozenset({"crop", "flip"})
_WHOLE = frozenset({"crop"})
_BOOLEAN = frozenset({"flip"})
_NAMES: dict[str, type[StrEnum]] = {"optimiser": Optimiser}


def searched(spec: StudySpec) -> frozenset[str]:
    """The keys of [train] that the study searches."""
    return frozenset(name for name, parameter in spec.space.params.items() if parameter.role is Role.RECIPE)


def model_genes(architecture: Architecture, spec: StudySpec) -> dict[str, Gene]:
    """The genes that the model is built from: all but the recipe's."""
    recipe = searched(spec)
    return {name: value for name, value in architecture.genes if name not in recipe}


def train_spec(architecture: Architecture, spec: StudySpec) -> TrainSpec:
    """The recipe of this architecture: [train] with the searched settings put in.

    A recipe parameter that does not exist in this architecture (its `when` is false and it has no `otherwise`)
    leaves the value of [train].

    Raises:
        ValueError: a gene is no value of that setting.
    """
    recipe = searched(spec)
    if not recipe:
        return spec.train
    genes = {name: value for name, value in architecture.genes if name in recipe and value is not None}
    return replace(spec.train, **{name: setting(name, value) for name, value in genes.items()})  # type: ignore[arg-type]


def check_augmentations(values: Mapping[str, object], problem: Problem, *, table: str = "train") -> None:
    """Refuse an augmentation that has no meaning for such inputs.

    Args:
        values: by name; those that are 0 or false are not used.
        problem: whose inputs they would change.
        table: of the study file that names them, for the sentence.

    Raises:
        UserError: it begins with `table.name = value`.
    """
    for name, value in values.items():
        if not value:
            continue
        if problem.vocabulary:
            raise UserError(f"{table}.{name} = {value}: changes numbers, and these inputs are tokens. Remove the key")
        if name in _ALONG_POSITIONS and len(problem.input_shape) < 2:
            raise UserError(f"{table}.{name} = {value}: is for signals and images, not features. Remove the key")


def setting(name: str, value: object) -> Scalar:
    """`value` in the type that `train.<name>` has.

    Raises:
        ValueError: it is none; the message begins with `train.<name> = value`.
    """
    shown = f"train.{name} = {value}"
    names = _NAMES.get(name)
    if names is not None:
        if value not in list(names):
            raise ValueError(f"{shown}: must be one of {', '.join(names)}")
        return names(str(value))
    if name in _BOOLEAN:
        if not isinstance(value, bool):
            raise ValueError(f"{shown}: must be true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shown}: must be a number")  # noqa: TRY004 - one class for the caller's one sentence
    if name in _WHOLE:
        if value != int(value):
            raise ValueError(f"{shown}: must be a whole number")
        return int(value)
    return float(value)
