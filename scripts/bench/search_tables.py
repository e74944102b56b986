"""The benchmark's problems by name: real tables, and the two synthetic laws.

    macro3, macro2      NAS-Bench-Macro, CIFAR-10: error with parameters and FLOPs, or with FLOPs alone
    slice, protein,     HPOLib's FC-Net on four data sets: validation loss, parameters and training seconds
    naval, parkinsons
    lawA, lawB          SYNTHETIC, over the `cnn` space: see `search_laws`
    slice2, ...         FC-Net: loss and parameters only
    NAME-open           without the bound on the error, which the strategies on macro are otherwise all given as a limit
    NAME-bound          with it, where NAME alone has none

Of the recorded runs one is told (the seed picks it) and the mean of the others scored. The box goes from the least
values to the bound of usefulness: 20 % error, the median network's loss, 50 % error in the laws. Costs, and FC-Net's
losses, which span decades, are scored on their logarithm.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import search_laws as laws
from numpy.typing import NDArray
from search_best_known import best_known
from search_problems import Problem, Scoring, box_of

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.study import LimitSpec, ObjectiveSpec, SpaceSpec
from nasd.errors import UserError
from nasd.simulator.table_files import Recorded, read
from nasd.simulator.tables import Table
from nasd.spaces.parametric import ParametricSpace

DEV = ("macro3", "macro2", "slice", "protein", "lawA")
CONFIRM = ("naval", "parkinsons", "lawB")
KNOWN = (*DEV, *CONFIRM, "slice2", "protein2", "naval2", "parkinsons2")
_TABLES: Mapping[str, str] = {
    "macro": "nasbench_macro_cifar10.csv.gz",
    "slice": "fcnet_hpolib.npz#slice_localization",
    "protein": "fcnet_hpolib.npz#protein_structure",
    "naval": "fcnet_hpolib.npz#naval_propulsion",
    "parkinsons": "fcnet_hpolib.npz#parkinsons_telemonitoring",
}


@cache
def problem(name: str, data: Path) -> Problem:
    """The problem of that name.

    Args:
        data: the folder with the tables.

    Raises:
        UserError: there is none, or its table is not in `data`.
    """
    base, _, variant = name.partition("-")
    if variant in {"", "open", "bound"}:
        if base in _LAWS:
            return replace(_law(base, is_limited=variant == "bound"), name=name)
        if (kind := base.rstrip("23")) in _TABLES:
            return table_problem(
                name,
                read(str(data / _TABLES[kind])),
                _aims(base),
                is_limited=variant == "bound" or (variant == "" and kind == "macro"),
            )
    raise UserError(f"--tables {name}: no such problem; known: {', '.join(KNOWN)}, each with -open or -bound behind it")


@dataclass(frozen=True, slots=True)
class Aims:
    """What a table is searched for.

    Attributes:
        objectives: the error first.
        is_log: whether the error is scored on its logarithm; costs always are.
    """

    objectives: tuple[str, ...]
    is_log: bool


def table_problem(name: str, recorded: Recorded, aims: Aims, *, is_limited: bool) -> Problem:
    """One run is told, the mean of the others scored; a box for each of them.

    Args:
        is_limited: whether every strategy is given the bound of usefulness as a limit.
    """
    table = Table(recorded)
    error, *costs = aims.objectives
    n_runs, bound = recorded.values[error].shape[1], recorded.useful[error]
    told = [_columns(recorded, aims, recorded.values[error][:, run]) for run in range(n_runs)]
    rows = [_columns(recorded, aims, _others(recorded.values[error], run)) for run in range(n_runs)]
    networks = table.networks()
    is_log = (aims.is_log, *[True] * len(costs))
    boxes = cache(lambda run: box_of(rows[run][networks], bound=bound, is_log=is_log))
    return Problem(
        name=name,
        space=table.space,
        kind=table.name,
        objectives={each: ObjectiveSpec() for each in aims.objectives},
        limits=(LimitSpec(of=error, max=bound),) if is_limited else (),
        costs=table.space.counts,
        told=lambda each, seed: dict(zip(aims.objectives, told[seed % n_runs][table.row(each)].tolist(), strict=True)),
        scored=lambda each, seed: rows[seed % n_runs][table.row(each)],
        duration_s=lambda each: float(table.duration_s[table.row(each)]),
        scoring=lambda seed: boxes(seed % n_runs),
        n_boxes=n_runs,
    )


def _others(runs: NDArray[np.float64], run: int) -> NDArray[np.float64]:
    """(n,) the mean of the other runs; of the only one where there is no other."""
    others = np.delete(runs, run, axis=1) if runs.shape[1] > 1 else runs
    mean: NDArray[np.float64] = others.mean(axis=1)
    return mean


def _columns(recorded: Recorded, aims: Aims, error: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m), the error first."""
    return np.column_stack([error, *(recorded.values[name][:, 0] for name in aims.objectives[1:])])


def _aims(base: str) -> Aims:
    if base.startswith("macro"):
        return Aims(("val_error", "flops") if base == "macro2" else ("val_error", "params", "flops"), is_log=False)
    return Aims(("val_loss", "params") if base.endswith("2") else ("val_loss", "params", "train_s"), is_log=True)


# --- the laws ---


def _values_a(architecture: Architecture, counts: Mapping[str, int]) -> dict[str, float]:
    return {
        "val_error": laws.error_a(architecture.as_dict(), counts),
        "params": float(counts["params"]),
        "flops": float(counts["flops"]),
    }


def _values_b(architecture: Architecture, counts: Mapping[str, int]) -> dict[str, float]:
    genes = architecture.as_dict()
    return {
        "val_error": laws.error_b(genes),
        "latency_ms": laws.latency_ms_b(genes, counts),
        "params": float(counts["params"]),
    }


_LAWS: Mapping[str, Callable[[Architecture, Mapping[str, int]], dict[str, float]]] = {
    "lawA": _values_a,
    "lawB": _values_b,
}


def _law(name: str, *, is_limited: bool) -> Problem:
    space = spaces.build(SpaceSpec(kind="cnn"), laws.ASKED)
    assert isinstance(space, ParametricSpace)

    def true(architecture: Architecture) -> dict[str, float]:
        return _LAWS[name](architecture, space.counts(architecture))

    def told(architecture: Architecture, seed: int) -> dict[str, float]:
        values = true(architecture)
        return values | {"val_error": max(0.0, values["val_error"] + laws.noise(architecture, seed))}

    def row(architecture: Architecture) -> NDArray[np.float64]:
        return np.array(list(true(architecture).values()))

    names = list(true(space.sample(np.random.default_rng(0))))
    known = tuple(each for each in names if each in {"params", "flops"})

    @cache
    def reference() -> Scoring:
        is_log = (False, *[True] * (len(names) - 1))
        return best_known(space, row, bound=laws.BOUND, is_log=is_log, key=(name, inspect.getsource(laws)))

    return Problem(
        name=name,
        space=space,
        kind="cnn",
        objectives={each: ObjectiveSpec() for each in names},
        limits=(LimitSpec(of="val_error", max=laws.BOUND),) if is_limited else (),
        costs=lambda architecture: {each: float(space.counts(architecture)[each]) for each in known},
        told=told,
        scored=lambda architecture, _seed: row(architecture),
        duration_s=lambda architecture: 60.0 + space.counts(architecture)["flops"] / 2e6,
        scoring=lambda _seed: reference(),
    )
