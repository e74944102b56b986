"""Benchmark tables in files: NAS-Bench-Macro's CSV, FC-Net's npz, and any CSV that a TOML file describes."""

from __future__ import annotations

import csv
import gzip
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasd.domain.study import Scalar
from nasd.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A table as it was recorded.

    Attributes:
        columns: parameter -> its option in every row.
        values: quantity -> (n, runs) of it; one column where it was recorded once.
        duration_s: (n,) of an evaluation; None: the table does not say.
        ordered: parameters whose options ascend in meaning.
        same: rows that agree in everything recorded are one network.
        useful: quantity -> the worst value that is still of use; scores look no further.
    """

    name: str
    columns: Mapping[str, Sequence[Scalar]]
    values: Mapping[str, NDArray[np.float64]]
    duration_s: NDArray[np.float64] | None = None
    ordered: frozenset[str] = frozenset()
    same: bool = False
    useful: Mapping[str, float] = field(default_factory=dict)


def read(path: str) -> Recorded:
    """The table at `path`: an npz with `#DATASET` behind its name, a CSV, gzipped or not, or a TOML that describes one.

    Raises:
        UserError: there is none, or it can't be understood.
    """
    name, _, part = path.partition("#")
    file = Path(name)
    if not file.is_file():
        raise UserError(f"--table {path}: no such file. Give the path of a .csv, .csv.gz, .npz or .toml")
    if file.suffix == ".npz":
        return _fcnet(file, part)
    if file.suffix == ".toml":
        return _described(file)
    return _macro(file)


# --- FC-Net ---

_FCNET: Mapping[str, Sequence[Scalar]] = {  # README of the table: the file itself holds indices alone
    "activation_fn_1": ("relu", "tanh"),
    "activation_fn_2": ("relu", "tanh"),
    "batch_size": (8, 16, 32, 64),
    "dropout_1": (0.0, 0.3, 0.6),
    "dropout_2": (0.0, 0.3, 0.6),
    "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
    "lr_schedule": ("cosine", "const"),
    "n_units_1": (16, 32, 64, 128, 256, 512),
    "n_units_2": (16, 32, 64, 128, 256, 512),
}


def _fcnet(file: Path, data_set: str) -> Recorded:
    """Klein and Hutter 2019, arXiv 1905.04970: four runs of a network with two hidden layers and its recipe."""
    with np.load(file, allow_pickle=False) as archive:
        suffix = "__val_loss"
        known = sorted(key.removesuffix(suffix) for key in archive.files if key.endswith(suffix))
        wanted = [name for name in known if name.startswith(data_set)] if data_set else known
        if "config" not in archive.files or len(wanted) != 1:
            remedy = f"Write one of its data sets behind the name: {file.name}#{known[0] if known else 'NAME'}"
            shown = f"{file}#{data_set}" if data_set else f"{file}"
            raise UserError(f"--table {shown}: data sets in it: {', '.join(known) or 'none'}. {remedy}")
        [name] = wanted
        config, columns = archive["config"], [str(column) for column in archive["columns"]]
        if unknown := [column for column in columns if column not in _FCNET]:
            raise UserError(
                f"--table {file}: column {unknown[0]} is none of FC-Net's. Describe the table in a TOML file"
            )
        losses = archive[f"{name}{suffix}"].astype(np.float64)
        seconds = archive[f"{name}__train_time"].astype(np.float64)
        sizes = archive[f"{name}__model_size"].astype(np.float64)
    options = {column: _FCNET[column] for column in columns}
    return Recorded(
        name=f"fcnet_{name}",
        columns={column: [options[column][at] for at in config[:, i]] for i, column in enumerate(columns)},
        values={"val_loss": losses, "params": sizes[:, None], "train_s": seconds[:, None]},
        duration_s=seconds,
        ordered=frozenset(name for name, values in options.items() if not isinstance(values[0], str)),
        useful={"val_loss": float(np.median(losses.mean(axis=1)))},
    )


# --- NAS-Bench-Macro ---

_MACRO_RUNS = ("test_acc_run1", "test_acc_run2", "test_acc_run3")
_MACRO_S = (300.0, 2e-5)  # the table has no times: five minutes, and a quarter of an hour for 45 MFLOPs


def _macro(file: Path) -> Recorded:
    """Su et al. 2021, arXiv 2103.11922: the kind of each of eight layers; identities that move change nothing."""
    rows = _rows(file)
    needed = ("arch", *_MACRO_RUNS, "params", "flops")
    if not set(needed) <= set(rows):
        remedy = "Describe it in a TOML file (docs/simulate.md) and give that one to --table"
        raise UserError(f"--table {file}: its columns are {_few(rows)}; that is no table known here. {remedy}")
    accuracy = np.column_stack([_numbers(file, rows, run) for run in _MACRO_RUNS])
    flops = _numbers(file, rows, "flops")
    return Recorded(
        name="nasbench_macro",
        columns=_letters(file, "arch", rows["arch"]),
        values={
            "val_error": 1 - accuracy / 100,
            "params": _numbers(file, rows, "params")[:, None],
            "flops": flops[:, None],
        },
        duration_s=_MACRO_S[0] + _MACRO_S[1] * flops,
        same=True,
        useful={"val_error": 0.2},
    )


# --- any CSV ---

_KEYS = ("file", "name", "architecture", "values", "duration_s", "ordered", "same", "useful")


def _described(file: Path) -> Recorded:
    """A TOML file with one table, [table]; see docs/simulate.md."""
    try:
        document = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--table {file}: not TOML: {error}. Correct it") from error
    given = document.get("table")
    if not isinstance(given, dict):
        raise UserError(f'--table {file}: has no [table]. Begin it with [table] and file = "NAME.csv"')
    if unknown := [key for key in given if key not in _KEYS]:
        raise UserError(f"--table {file}: table.{unknown[0]}: no such key; known: {', '.join(_KEYS)}")
    if missing := [key for key in ("file", "architecture", "values") if key not in given]:
        raise UserError(f"--table {file}: table.{missing[0]} is missing. Give file, architecture and values")
    source = file.parent / str(given["file"])
    if not source.is_file():
        raise UserError(f'--table {file}: table.file = "{given["file"]}": no such file beside it. Correct the name')
    rows = _rows(source)
    seconds = given.get("duration_s")
    return Recorded(
        name=str(given.get("name", file.stem)),
        columns=_parameters(source, given["architecture"], rows),
        values={str(name): _quantity(source, name, entry, rows) for name, entry in given["values"].items()},
        duration_s=None if seconds is None else _quantity(source, "duration_s", seconds, rows)[:, 0],
        ordered=frozenset(given.get("ordered", ())),
        same=bool(given.get("same", False)),
        useful={str(name): float(bound) for name, bound in given.get("useful", {}).items()},
    )


def _parameters(file: Path, given: object, rows: Mapping[str, list[str]]) -> dict[str, Sequence[Scalar]]:
    """One column of words whose letters are choices, or a list of columns with a choice each."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names:
        raise UserError(f"table.architecture = {given}: name a column, or a list of columns")
    for name in names:
        if name not in rows:
            raise UserError(f"table.architecture: {file} has no column {name}; it has {_few(rows)}")
    if isinstance(given, str):
        return _letters(file, given, rows[given])
    return {str(name): _typed(rows[name]) for name in names}


def _quantity(file: Path, name: str, given: object, rows: Mapping[str, list[str]]) -> NDArray[np.float64]:
    """(n, runs) of `"column"`, or of { columns = [...], scale = 1, offset = 0 }."""
    entry = {"columns": [given]} if isinstance(given, str) else given
    if not isinstance(entry, dict) or not isinstance(entry.get("columns"), list) or not entry["columns"]:
        raise UserError(f'table.values.{name} = {given}: write "column" or {{ columns = ["run1", "run2"] }}')
    if unknown := [key for key in entry if key not in ("columns", "scale", "offset")]:
        raise UserError(f"table.values.{name}.{unknown[0]}: no such key; known: columns, scale, offset")
    scale, offset = float(entry.get("scale", 1.0)), float(entry.get("offset", 0.0))
    return offset + scale * np.column_stack([_numbers(file, rows, str(column)) for column in entry["columns"]])


# --- columns of text ---


def _rows(file: Path) -> dict[str, list[str]]:
    """Every column as text, by its name in the first line."""
    try:
        with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as text:
            lines = list(csv.reader(text))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"--table {file}: can't be read as CSV: {error}") from error
    if len(lines) < 2:
        raise UserError(f"--table {file}: holds no rows. Give a CSV with a line of names and a line for each network")
    header, body = lines[0], [line for line in lines[1:] if line]
    for at, line in enumerate(body):
        if len(line) != len(header):
            raise UserError(f"--table {file}: row {at + 1} has {len(line)} cells, the first line {len(header)} names")
    return {name: [line[at] for line in body] for at, name in enumerate(header)}


def _numbers(file: Path, rows: Mapping[str, list[str]], column: str) -> NDArray[np.float64]:
    """(n,); an empty cell is NaN."""
    if column not in rows:
        raise UserError(f"--table {file}: has no column {column}; it has {_few(rows)}")
    try:
        return np.array([float(cell) if cell else np.nan for cell in rows[column]])
    except ValueError as error:
        raise UserError(f"--table {file}: column {column}: {error}. Name a column of numbers") from error


def _letters(file: Path, column: str, words: Sequence[str]) -> dict[str, Sequence[Scalar]]:
    """One parameter for each place: layer_1, layer_2, ..."""
    length = len(words[0])
    if length == 0 or any(len(word) != length for word in words):
        raise UserError(f"--table {file}: the words in column {column} have unequal lengths. Name columns of options")
    width = len(str(length))
    return {f"layer_{at + 1:0{width}}": [word[at] for word in words] for at in range(length)}


def _typed(cells: Sequence[str]) -> list[Scalar]:
    """Whole numbers, numbers or texts, whichever all cells are."""
    for convert in (int, float):
        try:
            return [convert(cell) for cell in cells]
        except ValueError:
            continue
    return list(cells)


def _few(names: Iterable[str]) -> str:
    first, *rest = names
    shown = [first, *rest[:7]]
    return ", ".join(shown) + (f" and {len(rest) - 7} more" if len(rest) > 7 else "")
