"""What a study file may say: its keys, the names it may choose from, and what the design names but nobody built yet.

Floor 1 may not ask the spaces, data sets and strategies themselves; a test holds these lists against them.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping

from nasd.domain.study import (
    BudgetSpec,
    DataSpec,
    EvaluationSpec,
    LimitSpec,
    MeasureSpec,
    ObjectiveSpec,
    SpaceSpec,
    StrategySpec,
    StudySpec,
    TrainSpec,
)

DATA_SETS = ("digits",)
SPACES = ("mlp",)
STRATEGY_SETTINGS: Mapping[str, frozenset[str]] = {
    "nsga2": frozenset({"population", "mutation_only", "baselines", "in_flight"}),
    "random": frozenset({"baselines", "in_flight"}),
}

ANY = "*"  # a name that the user gives, such as an objective's
Pattern = tuple[str, ...]

TABLES: Mapping[Pattern, type] = {
    (): StudySpec,
    ("data",): DataSpec,
    ("space",): SpaceSpec,
    ("train",): TrainSpec,
    ("measure",): MeasureSpec,
    ("evaluation",): EvaluationSpec,
    ("objectives", ANY): ObjectiveSpec,
    ("limits", ANY): LimitSpec,
    ("strategy",): StrategySpec,
    ("budget",): BudgetSpec,
}
RENAMED: Mapping[str, str] = {"time_s": "time", "time_limit_s": "time_limit"}  # field -> key: the value has its unit
DURATIONS: tuple[tuple[str, str], ...] = (("budget", "time"), ("train", "time_limit"), ("evaluation", "time_limit"))
EXTRA_KEYS: Mapping[Pattern, tuple[str, ...]] = {("train",): ("task",)}  # accepted, but not part of the value

NOT_BUILT: Mapping[Pattern, str] = {
    ("model",): "models of your own",
    ("fidelity",): "several fidelities (successive halving)",
    ("devices",): "settings by device kind",
    ("data", "load"): "data sets of your own",
    ("data", "files"): "data sets from files",
    ("space", "preset"): "presets of a space",
    ("space", "constraints"): "constraints between parameters",
    ("evaluation", "costs"): "costs ahead of an evaluation",
    ("train", "metric"): "metrics of your own",
    ("train", "equal"): "equal FLOPs instead of equal steps",
    ("limits", ANY, "statistic"): "limits on a statistic",
    ("limits", ANY, "sustained"): "limits on a sustained run",
    ("limits", ANY, "scope"): "limits with a scope",
    ("objectives", "energy_mj"): "energy",
    **{
        ("space", "params", ANY, form): f"`{form}` parameters"
        for form in ("int", "float", "log", "each", "when", "otherwise", "role")
    },
}
# key -> values that the design names and this version lacks
NOT_BUILT_VALUES: Mapping[Pattern, tuple[str, ...]] = {
    ("space", "kind"): ("cnn", "transformer", "custom"),
    ("train", "task"): ("regression", "multilabel", "lm"),
    ("strategy", "use"): ("screened",),
    ("limits", ANY, "of"): ("energy_mj",),
}
INSTEAD: Mapping[Pattern, str] = {
    ("model",): "Remove the table; networks come from [space]",
    ("fidelity",): "Remove the table; every trial trains train.steps steps",
    ("devices",): 'Remove the table; measure on this machine with on = ["local"]',
    ("data", "load"): 'Use a data set that comes with nasd: use = "digits"',
    ("data", "files"): 'Use a data set that comes with nasd: use = "digits"',
    ("space", "preset"): "Remove it; narrow the space in [space.params], for example width = [128, 256]",
    ("space", "kind"): 'Use kind = "mlp"',
    ("train", "task"): 'Use task = "classification" or leave it out',
    ("strategy", "use"): 'Use "nsga2" or "random"',
    ("objectives", "energy_mj"): "Remove the objective",
}


def keys_of(pattern: Pattern) -> tuple[str, ...]:
    """The keys that the table `pattern` knows, as a study file writes them."""
    fields = (field.name for field in dataclasses.fields(TABLES[pattern]))
    return (*(RENAMED.get(name, name) for name in fields), *EXTRA_KEYS.get(pattern, ()))


def matches(pattern: Pattern, path: tuple[str | int, ...]) -> bool:
    """Whether `path` is what `pattern` speaks of."""
    return len(pattern) == len(path) and all(want in (ANY, got) for want, got in zip(pattern, path, strict=True))


def choose(name: str, known: Iterable[str], *, what: str) -> str:
    """The tail of a sentence about a name that nobody knows: what is known, and the nearest of it."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f'. Did you mean "{near[0]}"?' if near else f". Use one of these {what}."
    return f"known: {', '.join(names)}{guess}"
