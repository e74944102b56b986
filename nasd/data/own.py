"""`data.load`: the user's own function, and what it may return. torch's tensors and data sets are read without torch.

It is called without arguments, or with `seed` (the study's `data.seed`) if it has such a parameter, and returns one of

* `(x, y)`: arrays, tensors, lists or DataFrames, to be cut into splits;
* a torch `Dataset`, or anything with a length whose items are `(x, y)`;
* a mapping of arrays, named as in an npz file (`x`, `y`, or `train_x`, ..., `test_y`);
* a mapping with the keys `train`, `validation` and `test` (`train` at least) to any of the first three;
* `(train, test)` or `(train, validation, test)`, each a pair or a data set;
* for `lm`: a text, bytes or whole numbers in one row; or a mapping of the parts to such.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np

from nasd import usercode
from nasd.data import raw
from nasd.data.files import tables
from nasd.data.raw import ALL, PARTS, TEST, TRAIN, VALIDATION, Array, BadData, Raw, Table
from nasd.data.request import Request

_PARTS_BY_LENGTH = {2: (TRAIN, TEST), 3: (TRAIN, VALIDATION, TEST)}


@runtime_checkable
class _DataSet(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


def load(request: Request, *, allow: Collection[str] | None) -> Raw:
    """Call the function and take what it returned to pieces.

    Raises:
        FunctionError: it can't be imported, or may not be.
        BadData: it raised something, or returned nothing that holds data.
    """
    assert request.spec.load is not None
    function = usercode.load_function(request.spec.load, what="data.load", allow=allow)
    with _mistakes(function):
        returned = function(**_arguments(function, seed=request.spec.seed))
        return taken(returned)


class _mistakes:  # noqa: N801 - reads as a word after `with`
    """What the user's code raises, when it is called or when its data set is read, becomes a sentence."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._file = getattr(getattr(function, "__code__", None), "co_filename", None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, BadData | MemoryError):
            raise BadData(f"it raised {type(error).__name__}: {error}{self._line(error)}. Correct it") from error

    def _line(self, error: BaseException) -> str:
        """The innermost line of the function's own file."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self._file]
        return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _arguments(function: Callable[..., object], *, seed: int) -> dict[str, int]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function that is not written in Python
        return {}
    return {"seed": seed} if "seed" in parameters else {}


def taken(returned: object) -> Raw:
    """What a function returned, as tables.

    Raises:
        BadData: nothing that holds data.
    """
    if isinstance(returned, Mapping):
        return _of_mapping(returned)
    if isinstance(returned, tuple | list) and len(returned) in _PARTS_BY_LENGTH and all(map(_is_part, returned)):
        return _of_parts(dict(zip(_PARTS_BY_LENGTH[len(returned)], returned, strict=True)))
    return _of_parts({ALL: returned})


def _of_mapping(returned: Mapping[object, object]) -> Raw:
    names = {str(name): value for name, value in returned.items()}
    if set(names) & set(PARTS):
        return _of_parts(names)
    if all(isinstance(value, str | bytes) for value in names.values()):
        raise BadData(f"it returned texts named {', '.join(sorted(names))}. Name them train, validation and test")
    return Raw(parts=tables({name: as_array(value) for name, value in names.items()}, where="it returned arrays"))


def _of_parts(parts: Mapping[str, object]) -> Raw:
    is_text = all(isinstance(part, str | bytes | bytearray) for part in parts.values())
    return Raw(parts={name: _table(part) for name, part in parts.items()}, vocabulary=256 if is_text else None)


def _is_part(value: object) -> bool:
    """Whether it holds inputs with their targets, and is not an array of either."""
    return isinstance(value, Mapping) or _is_pair(value) or _is_data_set(value)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_column, value))


def _is_column(value: object) -> bool:
    return _is_array(value) or isinstance(value, list)


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "shape")


def _is_data_set(value: object) -> bool:
    return isinstance(value, _DataSet) and not isinstance(value, Mapping | Sequence) and not _is_array(value)


def _table(part: object) -> Table:
    if isinstance(part, str | bytes | bytearray):
        return raw.text(part.encode() if isinstance(part, str) else bytes(part))
    if isinstance(part, Mapping):
        found = tables({str(name): as_array(value) for name, value in part.items()}, where="it returned arrays")
        if set(found) != {ALL}:
            raise BadData(f"a part of what it returned has the names {', '.join(map(str, part))}. Name them x and y")
        return found[ALL]
    if isinstance(part, tuple | list) and len(part) == 2 and any(map(_is_column, part)):
        return Table(as_array(part[0]), as_array(part[1]))
    if _is_array(part) or isinstance(part, list | tuple):
        return Table(as_array(part))
    if _is_data_set(part):
        return _of_items(cast("_DataSet", part))
    raise BadData(
        f"it returned {type(part).__name__}, nothing that holds data. Return (x, y), a torch Dataset, or a dict with "
        "train, validation and test"
    )


def _of_items(items: _DataSet) -> Table:
    """Each item once, in order; what a torch `TensorDataset` holds is taken as it is."""
    tensors = getattr(items, "tensors", None)
    if isinstance(tensors, tuple) and len(tensors) == 2:
        return Table(as_array(tensors[0]), as_array(tensors[1]))
    if not len(items):
        raise BadData(f"it returned {type(items).__name__} without items. Give some")
    inputs: Array | None = None
    targets = []
    for number, (x, y) in enumerate(_pairs(items)):
        row = as_array(x)
        if inputs is None:
            inputs = np.empty((len(items), *row.shape), dtype=row.dtype)
        if row.shape != inputs.shape[1:]:
            raise BadData(
                f"item {number} of its data set has inputs of the shape {row.shape}, item 0 of {inputs.shape[1:]}. "
                "Make them equal"
            )
        inputs[number] = row
        targets.append(as_array(y))
    assert inputs is not None
    return Table(inputs, np.stack(targets))


def _pairs(items: _DataSet) -> Iterator[tuple[object, object]]:
    for number in range(len(items)):
        item = items[number]
        if not isinstance(item, tuple | list) or len(item) != 2:
            shown = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
            raise BadData(f"item {number} of its data set is {shown}, not (x, y). Return pairs")
        yield item[0], item[1]


def as_array(value: object) -> Array:
    """A tensor, DataFrame, image or list as an array.

    Raises:
        BadData: its rows differ in length, or it is nothing of the kind.
    """
    if callable(detach := getattr(value, "detach", None)):
        tensor = detach().cpu()  # off its graph and its device
        value = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BadData(f"what it returned is no array: {error}. Give rows of one length") from error
    if array.dtype.kind == "O" and not all(isinstance(item, str) for item in array.flat):
        raise BadData(f"it returned {type(value).__name__} of Python objects. Return numbers, or names as text")
    return array
