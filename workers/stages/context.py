"""Context: what a user's evaluation function is told beside the architecture, and how it talks back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isfinite
from numbers import Real
from typing import Any

from nasd.data import SearchSplit
from nasd.errors import CandidateFault
from workers.hooks import Hooks, StoppedEarly
from workers.scratch import Scratch, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One evaluation, from inside.

    Attributes:
        study, trial: which one it is, for messages.
        seed: of all randomness; the same for a retry on another worker.
        steps: the training steps asked for (`train.steps` of the study file).
        replicate: 0, or the number of a repetition under another seed.
        device_kind: of this worker.
    """

    study: str
    trial: int
    seed: int
    replicate: int
    steps: int
    device_kind: str
    _hooks: Hooks = field(repr=False)
    _load_data: Callable[[], SearchSplit] = field(repr=False)
    _scratch: Scratch | None = field(repr=False)
    _said: dict[str, bool] = field(default_factory=dict, repr=False)

    @property
    def fidelity(self) -> int:
        """The same as `steps`."""
        return self.steps

    @property
    def device(self) -> str:
        """Where to compute, as torch names it: "cuda" where this worker has one, else "cpu"."""
        if find_spec("torch") is None:
            return "cpu"
        from nasd.nets.runtime import pick_device

        return str(pick_device())

    @property
    def data(self) -> SearchSplit:
        """The training and validation splits of the study's [data] as numpy arrays; read when first asked for."""
        return self._load_data()

    @property
    def restored(self) -> bytes | dict[str, Any] | None:
        """What an earlier attempt at this evaluation on this host gave to `checkpoint` last; None: begin anew."""
        return None if self._scratch is None else self._scratch.load()

    @property
    def is_stopped_early(self) -> bool:
        """Whether `report` has answered True."""
        return self._said.get("stop", False)

    def report(self, step: int, values: Mapping[str, float] | None = None, **more: float) -> bool:
        """Say how far you are, between two steps of work: here the function can be paused or stopped.

        Args:
            step: counts upwards.
            values: known so far, by name; what is reported last counts where the function is stopped early.
            more: values as keywords.

        Returns:
            Whether to stop now and return what there is.

        Raises:
            CandidateFault: a value is not a finite number; it ends the trial.
        """
        for name, value in {**(values or {}), **more}.items():
            self._hooks.partial[str(name)] = number(str(name), value)
        if self._hooks.at_own_step(step):
            self._said["stop"] = True
        return self.is_stopped_early

    def step(self, number: int, **values: float) -> None:
        """As `report`, for functions that have nothing to tidy up: it ends the function itself where it is to stop."""
        if self.report(number, values):
            raise StoppedEarly(self._hooks.partial)

    def checkpoint(self, state: State) -> None:
        """Keep `state` on this host: an attempt that follows a drain or a crash finds it as `restored`.

        Args:
            state: bytes, or a dict of numpy arrays, torch tensors and plain JSON values.

        Raises:
            TypeError: something else.
        """
        if self._scratch is None:
            return
        try:
            self._scratch.save(state)
        except OSError as error:  # the evaluation is worth more than its checkpoint
            print(f"the checkpoint could not be written: {error}")

    def log(self, text: object) -> None:
        """A line of the trial's log; printing does the same."""
        print(text, flush=True)


def number(name: str, value: object) -> float:
    """A user's number as a float.

    Raises:
        CandidateFault: `bad_result`, it is none; `not_finite`.
    """
    if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "item")):
        raise CandidateFault("bad_result", f"{name} = {str(value)[:100]!r}: must be a number")
    try:
        converted = float(value)  # type: ignore[arg-type]  # numpy and torch scalars have `item` and convert
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise CandidateFault("bad_result", f"{name}: must be one number: {error}") from error
    if not isfinite(converted):
        raise CandidateFault("not_finite", f"{name} = {converted}: must be finite")
    return converted
