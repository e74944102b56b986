"""From raw data to three splits in the cache: checked, converted, cut, written, hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasd.data import cache, partition, split, targets
from nasd.data.cache import Area
from nasd.data.inputs import Layout, chunks, common_layout
from nasd.data.raw import ALL, PARTS, TEST, TRAIN, VALIDATION, Array, BadData, Raw, Table
from nasd.data.reading import read_part
from nasd.data.request import Request
from nasd.domain.data import DataFacts, Task

AREAS: Mapping[str, Area] = {TRAIN: Area.SEARCH, VALIDATION: Area.SEARCH, TEST: Area.TEST}


def write(request: Request, raw: Raw) -> DataFacts:
    """Put the three splits of `raw` into the cache.

    Raises:
        BadData: they can't be used for the task.
        OSError: the cache can't be written.
    """
    if unknown := set(raw.parts) - {ALL, *PARTS}:
        raise BadData(f"no such part: {', '.join(sorted(unknown))}. Name the parts train, validation and test")
    if ALL not in raw.parts and TRAIN not in raw.parts:
        raise BadData(
            f"there is {' and '.join(raw.parts) or 'nothing'} but no train. Give x and y, or train_x and train_y"
        )
    if ALL in raw.parts and TRAIN in raw.parts:
        raise BadData("there are x and train_x, and either would be trained on. Give one of them")
    if all(table.y is None for table in raw.parts.values()):
        return _write_text(request, raw)
    return _write_rows(request, raw)


def is_complete(folder: Path, facts: DataFacts) -> bool:
    """Whether all that `facts` speak of is in the cache and is what its name says."""
    return all(read_part(folder / AREAS[part], facts, part) is not None for part in PARTS)


# Rows: classification, regression, multilabel


@dataclass(frozen=True, slots=True)
class _Part:
    """A split before it is written: `rows` of `samples` (None: all) with their targets."""

    samples: Table
    rows: NDArray[np.intp] | None
    y: targets.Encoded


def _write_rows(request: Request, raw: Raw) -> DataFacts:
    given = {name: _checked(name, table) for name, table in raw.parts.items()}
    layout = common_layout(raw.parts)
    encoded = targets.encode(request.task, given)
    parts = _cut(request, raw, encoded)
    hashes = {name: _write_part(request.folder / AREAS[name], part, layout) for name, part in parts.items()}
    return DataFacts(
        name=request.spec.name,
        seed=request.spec.seed,
        task=request.task,
        input_shape=layout.shape,
        n_outputs=encoded.n_outputs,
        classes=encoded.classes,
        n_train=len(parts[TRAIN].y),
        n_validation=len(parts[VALIDATION].y),
        n_test=len(parts[TEST].y),
        trivial_error=targets.trivial_error(request.task, parts[TRAIN].y, parts[VALIDATION].y),
        sha256={name: hashes[name] for name in PARTS},
    )


def _checked(name: str, table: Table) -> Array:
    where = "" if name == ALL else f" of {name}"
    if table.y is None:
        raise BadData(f"there are no targets{where}. Give y")
    if table.y.ndim == 0 or not table.x.shape:
        raise BadData(f"inputs or targets{where} are a single value. Give one row for each sample")
    if len(table.x) != len(table.y):
        raise BadData(f"there are {len(table.x)} inputs{where} and {len(table.y)} targets. Make them equal")
    if not len(table.y):
        raise BadData(f"there are no samples{where}. Give some")
    return table.y


def _cut(request: Request, raw: Raw, encoded: targets.Targets) -> dict[str, _Part]:
    """Given parts as they are, missing ones out of the pool."""
    pool_name = ALL if ALL in raw.parts else TRAIN
    y, seed = encoded.parts[pool_name], request.split_seed
    sizes = _sizes(request, raw, len(y))
    if request.task is Task.CLASSIFICATION:
        cut = partition.stratified(y.astype(np.int64), sizes, seed=seed)
    else:
        cut = partition.plain(len(y), sizes, seed=seed)
    names = (*raw.missing, TRAIN)
    parts = {
        name: _Part(raw.pool, rows if raw.missing else None, y[rows]) for name, rows in zip(names, cut, strict=True)
    }
    given = {n: _Part(raw.parts[n], None, encoded.parts[n]) for n in raw.parts if n in (VALIDATION, TEST)}
    return parts | given


def _sizes(request: Request, raw: Raw, n: int) -> tuple[int, ...]:
    """Of the missing parts, in their order.

    Raises:
        BadData: nothing is left to train.
    """
    validation, test = raw.shares or (request.spec.validation, request.spec.test)
    shares = {VALIDATION: validation, TEST: test}
    sizes = tuple(partition.size_of(shares[name], n) for name in raw.missing)
    if sum(sizes) >= n:
        raise BadData(f"there are {n} samples, too few to cut {' and '.join(raw.missing)} from. Give more")
    return sizes


def _write_part(area: Path, part: _Part, layout: Layout) -> str:
    n = len(part.y)
    direct = _unchanged_file(part, layout)
    x_file = cache.Writer(area, shape=(n, *layout.shape), dtype="<f4")
    y_file = cache.Writer(area, shape=part.y.shape, dtype=part.y.dtype.newbyteorder("<").str)
    try:
        digest = cache.Digest()
        for rows in chunks(part.samples.x, part.rows, layout):
            digest.add(rows)
            if direct is None:
                x_file.write(rows)
        digest.add(part.y)
        name = digest.hex()
        if direct is None:
            x_file.keep(area / f"{name}.x.npy")
        else:
            cache.link(area / f"{name}.x.npy", direct)
        y_file.write(part.y)
        y_file.keep(area / f"{name}.y.npy")
    finally:
        x_file.drop()
        y_file.drop()
    return name


def _unchanged_file(part: _Part, layout: Layout) -> Path | None:
    """The user's own .npy file, where it holds this split as it must be."""
    x = part.samples.x
    if not isinstance(x, np.memmap) or part.rows is not None or not x.flags.c_contiguous:
        return None
    if x.dtype != np.dtype("<f4") or layout.is_channels_last:
        return None
    return None if x.filename is None else Path(x.filename)


# A text: lm


def _write_text(request: Request, raw: Raw) -> DataFacts:
    if request.task is not Task.LM:
        if raw.vocabulary is None:
            raise BadData(f'there are inputs without targets, and train.task = "{request.task}" needs both. Add y')
        raise BadData(
            f'it is a text, and train.task = "{request.task}" needs inputs and targets. Set train.task = "lm"'
        )
    parts, vocabulary = _token_parts(request, raw), _vocabulary(raw)
    for name, tokens in parts.items():
        if len(tokens) <= request.context:
            raise BadData(
                f"{name} has {len(tokens)} tokens, too few for data.context = {request.context}. "
                "Give a longer text or a smaller context"
            )
    hashes = {name: _write_tokens(request.folder / AREAS[name], tokens) for name, tokens in parts.items()}
    _, validation_y = split.windows(parts[VALIDATION], request.context, every=request.context)
    return DataFacts(
        name=request.spec.name,
        seed=request.spec.seed,
        task=Task.LM,
        input_shape=(request.context,),
        n_outputs=vocabulary,
        vocabulary=vocabulary,
        n_train=len(parts[TRAIN]) - request.context,
        n_validation=len(validation_y),
        n_test=(len(parts[TEST]) - 1) // request.context,
        trivial_error=float(np.mean(validation_y != targets.commonest(parts[TRAIN]))),
        sha256={name: hashes[name] for name in PARTS},
    )


def _token_parts(request: Request, raw: Raw) -> dict[str, split.Tokens]:
    given = {name: np.asarray(table.x[:]) for name, table in raw.parts.items()}
    for name, tokens in given.items():
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or not len(tokens) or int(tokens.min()) < 0:
            where = "" if name == ALL else f" of {name}"
            shown = f"{tokens.dtype} of the shape {tokens.shape}"
            raise BadData(f"the tokens{where} are {shown}. Give one row of whole numbers, from 0")
    pool_name = ALL if ALL in given else TRAIN
    pool = given.pop(pool_name)
    cut = partition.contiguous(len(pool), _sizes(request, raw, len(pool)))
    parts = given | {name: pool[rows] for name, rows in zip((*raw.missing, TRAIN), cut, strict=True)}
    return {name: tokens.astype("<i8") for name, tokens in parts.items()}


def _vocabulary(raw: Raw) -> int:
    return raw.vocabulary or 1 + max(int(np.asarray(table.x[:]).max()) for table in raw.parts.values())


def _write_tokens(area: Path, tokens: split.Tokens) -> str:
    name = cache.tokens_sha256(tokens)
    file = cache.Writer(area, shape=tokens.shape, dtype="<i8")
    try:
        file.write(tokens)
        file.keep(area / f"{name}.tokens.npy")
    finally:
        file.drop()
    return name
