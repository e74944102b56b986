"""The user's own metric: called with the validation split, its values checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasd.domain.measurement import LONGEST_NAME, MOST_OWN_VALUES, UNITS, is_name
from nasd.errors import CandidateFault

Array = NDArray[Any]
MetricFunction = Callable[[Array, Array], float | Mapping[str, float]]


class Metric(NamedTuple):
    """The user's function, and the name of its value where it returns one number.

    It is called with numpy arrays of the whole validation split: the network's outputs, (n, *output_shape), as they
    are (logits; regressed numbers in the targets' own unit), and the targets as the data gave them.
    """

    name: str
    function: MetricFunction

    def __call__(self, predictions: Array, targets: Array) -> dict[str, float]:
        """By name.

        Raises:
            CandidateFault: `exception`, `bad_result` (no numbers, too many, a name that is taken or none at all), or
                `not_finite`.
        """
        shown = f"train.metric: {self.name}"
        try:
            returned = self.function(predictions, targets)
        except (Exception, SystemExit) as error:
            raise CandidateFault("exception", f"{shown} raised {type(error).__name__}: {error}") from error
        named = returned if isinstance(returned, Mapping) else {self.name: returned}
        if len(named) > MOST_OWN_VALUES:
            raise CandidateFault("bad_result", f"{shown} returned {len(named)} values; {MOST_OWN_VALUES} are kept")
        return {str(name): _number(shown, str(name), value) for name, value in named.items()}


def _number(shown: str, name: str, value: object) -> float:
    if not is_name(name):
        limits = f"a value's name is 1 to {LONGEST_NAME} printable characters"
        raise CandidateFault("bad_result", f"{shown} returned {name[:LONGEST_NAME]!r}: {limits}")
    if name in UNITS:
        raise CandidateFault("bad_result", f"{shown} returned {name}, which nasd measures itself. Give it another name")
    if not isinstance(value, Real | np.generic) and not (hasattr(value, "item") and getattr(value, "ndim", 1) == 0):
        raise CandidateFault("bad_result", f"{shown} returned {name} = {value!r:.80}: must be a number")
    try:
        number = float(value)  # type: ignore[arg-type]  # numpy's and torch's scalars convert
    except (TypeError, ValueError) as error:
        raise CandidateFault("bad_result", f"{shown} returned {name} = {value!r:.80}: must be a number") from error
    if not isfinite(number):
        raise CandidateFault("not_finite", f"{shown} returned {name} = {number}: must be finite")
    return number
