"""What a study file may say: its keys, the names it may choose from, and what the design names but nobody built yet.

Floor 1 may not ask the spaces, data sets and strategies themselves; a test holds these lists against them.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping

from nasd.domain.data import Task
from nasd.domain.devices import DeviceSpec
from nasd.domain.study import (
    BudgetSpec,
    DataSpec,
    EvaluationSpec,
    LimitSpec,
    MeasureSpec,
    ModelSpec,
    ObjectiveSpec,
    ParameterSpec,
    RangeSpec,
    RewardTerm,
    ScalarSpec,
    SpaceSpec,
    StrategySpec,
    StudySpec,
    TrainSpec,
    WarmStartSpec,
)

DATA_SETS = ("digits", "mnist1d", "text")
TASKS_OF: Mapping[str, tuple[Task, ...]] = {
    "digits": (Task.CLASSIFICATION,),
    "mnist1d": (Task.CLASSIFICATION,),
    "text": (Task.LM,),
}
SPACES = ("cnn", "custom", "mlp", "transformer")
PRESETS: Mapping[str, tuple[str, ...]] = {"cnn": ("small",), "custom": (), "mlp": (), "transformer": ("small",)}
STRATEGY_SETTINGS: Mapping[str, frozenset[str]] = {
    "aging-evolution": frozenset({"population", "sample", "baselines", "in_flight"}),
    "gp": frozenset({"baselines", "in_flight"}),
    "local-search": frozenset({"baselines", "in_flight"}),
    "nsga2": frozenset({"population", "mutation_only", "baselines", "in_flight"}),
    "screened": frozenset({"baselines", "in_flight"}),
    "reinforce": frozenset({"reward", "baselines", "in_flight"}),
    "sms-emoa": frozenset({"population", "mutation_only", "baselines", "in_flight"}),
    "random": frozenset({"stratified", "baselines", "in_flight"}),
    "tpe": frozenset({"baselines", "in_flight"}),
}

# What the networks of a family train well with, where [train] says nothing: found on validation splits alone
# (docs/results.md), the same for all of them.
RECIPES: Mapping[str, Mapping[str, float]] = {
    "cnn": {"lr": 0.005, "label_smoothing": 0.1},
    "transformer": {"lr": 0.002, "clip_norm": 1.0},
}
CLASSIFIERS_ONLY = frozenset({"label_smoothing"})  # of these settings

ANY = "*"  # a name that the user gives, such as an objective's
Pattern = tuple[str, ...]

TABLES: Mapping[Pattern, type] = {
    (): StudySpec,
    ("data",): DataSpec,
    ("space",): SpaceSpec,
    ("space", "params", ANY): ParameterSpec,
    ("model",): ModelSpec,
    ("train",): TrainSpec,
    ("measure",): MeasureSpec,
    ("devices", ANY): DeviceSpec,
    ("evaluation",): EvaluationSpec,
    ("objectives", ANY): ObjectiveSpec,
    ("limits", ANY): LimitSpec,
    ("scalar", ANY): ScalarSpec,
    ("preference", ANY): RangeSpec,
    ("warm_start",): WarmStartSpec,
    ("strategy",): StrategySpec,
    ("strategy", "reward", ANY): RewardTerm,
    ("budget",): BudgetSpec,
}
RENAMED: Mapping[str, str] = {  # field -> key: a value that has its unit, a key that is a type's name in Python
    "time_s": "time",
    "time_limit_s": "time_limit",
    "patience_s": "patience",
    "sustained_s": "sustained",
    "int_range": "int",
    "float_range": "float",
    "log_range": "log",
}
NO_KEYS: Mapping[Pattern, frozenset[str]] = {  # fields that no study file sets
    ("warm_start",): frozenset({"found"}),
}
DURATIONS: tuple[tuple[str, str], ...] = (
    ("budget", "time"),
    ("train", "time_limit"),
    ("evaluation", "time_limit"),
    ("measure", "patience"),
    ("limits", "sustained"),
)

NOT_BUILT: Mapping[Pattern, str] = {
    ("fidelity",): "several fidelities (successive halving)",
    ("train", "equal"): "equal FLOPs instead of equal steps",
}
INSTEAD: Mapping[Pattern, str] = {
    ("fidelity",): "Remove the table; every trial trains train.steps steps",
}


def keys_of(pattern: Pattern) -> tuple[str, ...]:
    """The keys that the table `pattern` knows, as a study file writes them."""
    fields = (field.name for field in dataclasses.fields(TABLES[pattern]))
    hidden = NO_KEYS.get(pattern, frozenset())
    return tuple(RENAMED.get(name, name) for name in fields if name not in hidden)


def matches(pattern: Pattern, path: tuple[str | int, ...]) -> bool:
    """Whether `path` is what `pattern` speaks of."""
    return len(pattern) == len(path) and all(want in (ANY, got) for want, got in zip(pattern, path, strict=True))


def choose(name: str, known: Iterable[str], *, what: str) -> str:
    """The tail of a sentence about a name that nobody knows: what is known, and the nearest of it."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f'. Did you mean "{near[0]}"?' if near else f". Use one of these {what}."
    return f"known: {', '.join(names)}{guess}"
