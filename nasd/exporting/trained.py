"""The trained network of a trial: from stored weights, or by training it again, which is the same experiment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import hypot
from pathlib import Path

from torch import nn

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.data import INIT, DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import ModelSpec, StudySpec
from nasd.errors import CandidateFault, UserError
from nasd.exporting.trial import TrialRecord
from nasd.nets import build_module
from nasd.nets.runtime import pick_device, threads
from nasd.nets.user import Builder
from nasd.training import train
from nasd.training.metric import MetricFunction
from nasd.training.seeding import weight_seed, weights_seeded
from nasd.training.setup import Request, Training
from nasd.usercode import load_function

_SURE = 2.0  # combined standard errors, within which two error rates count as the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network and what it reaches on the validation split.

    Attributes:
        module: on the CPU, in evaluation mode.
        source: `trained again` or `stored weights`.
    """

    module: nn.Module
    val_error: Measurement
    val_loss: Measurement
    source: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """The validation error now against the one that the study recorded; None: it recorded none."""

    now: float
    recorded: float | None
    margin: float

    @property
    def is_good(self) -> bool:
        """Equal, or within what validation samples leave open; also where nothing was recorded."""
        return self.recorded is None or abs(self.now - self.recorded) <= self.margin

    def __str__(self) -> str:
        if self.recorded is None:
            return f"val_error {self.now:.6g}; the study recorded none"
        if self.now == self.recorded:
            return f"val_error {self.now:.6g}, exactly as recorded"
        verdict = "agrees with" if self.is_good else "does NOT agree with"
        return f"val_error {self.now:.6g} {verdict} the recorded {self.recorded:.6g} (margin {self.margin:.2g})"


def agreement(trained: Trained, trial: TrialRecord) -> Agreement:
    """How the network compares with its trial."""
    now, row = trained.val_error, trial.measured("val_error")
    if row is None:
        return Agreement(now.value, None, 0.0)
    recorded, spread = row["value"], row["spread"]
    assert isinstance(recorded, int | float)
    wide = hypot(now.spread or 0.0, float(spread) if isinstance(spread, int | float) else 0.0)
    return Agreement(now.value, float(recorded), _SURE * wide)


def initial(trial: TrialRecord, *, allow: Collection[str] | None) -> nn.Module:
    """The network with the weights that its training began with, in evaluation mode on the CPU.

    Raises:
        UserError: it can't be built.
    """
    build = builder(trial.architecture, trial.spec, trial.facts, allow=allow)
    try:
        return build(weight_seed(trial.seed)).eval()
    except CandidateFault as fault:
        raise UserError(f"{trial.shown}: can't be built: {fault}") from fault


def builder(
    architecture: Architecture, spec: StudySpec, facts: DataFacts, *, allow: Collection[str] | None
) -> Callable[[int], nn.Module]:
    """What makes the module from a seed, as the study's workers build it."""
    if spec.model == ModelSpec():
        return lambda seed: build_module(architecture, problem=facts.problem, seed=seed)
    return Builder.of(
        architecture, spec, facts.problem, seeded=weights_seeded, allow=allow, init_sha256=facts.sha256.get(INIT)
    )


def train_again(trial: TrialRecord, split: SearchSplit, *, allow: Collection[str] | None) -> Trained:
    """Repeat the trial's training: the same seed, steps, data order and number of threads.

    Raises:
        UserError: it fails here.
    """
    build, kept = builder(trial.architecture, trial.spec, trial.facts, allow=allow), list[nn.Module]()

    def remembered(seed: int) -> nn.Module:
        kept[:] = [build(seed)]
        return kept[0]

    try:
        with threads(n_threads(trial)):
            measured = train(
                trial.architecture,
                trial.spec,
                split,
                seed=trial.seed,
                steps=trial.steps,
                at_step=lambda _: None,
                build=remembered,
                metric=_metric(trial, allow),
            )
    except CandidateFault as fault:
        raise UserError(f"{trial.shown}: training it again fails: {fault}") from fault
    by_name = {one.name: one for one in measured}
    return Trained(
        module=_plain(kept[0]), val_error=by_name["val_error"], val_loss=by_name["val_loss"], source="trained again"
    )


def with_weights(trial: TrialRecord, split: SearchSplit, file: Path, *, allow: Collection[str] | None) -> Trained:
    """The network with the weights of a safetensors file, validated anew.

    Raises:
        UserError: they are another network's.
    """
    request = request_for(trial, split, allow=allow)
    with threads(n_threads(trial)):
        training = Training.of(request, pick_device(), checkpoint=None, every_s=float("inf"))
        load_weights(training.progress.module, file, shown=trial.shown)
        found = training.validate()
    root = found.n**0.5
    return Trained(
        module=_plain(training.progress.module),
        val_error=Measurement("val_error", found.error, "fraction", found.error_deviation / root, found.n),
        val_loss=Measurement(
            "val_loss", found.loss, trial.spec.unit_of("val_loss"), found.loss_deviation / root, found.n
        ),
        source="stored weights",
    )


def request_for(trial: TrialRecord, split: SearchSplit, *, allow: Collection[str] | None) -> Request:
    """The trial's training, as the study asked for it."""
    return Request(
        architecture=trial.architecture,
        spec=trial.spec,
        split=split,
        seed=trial.seed,
        steps=trial.steps,
        build=builder(trial.architecture, trial.spec, trial.facts, allow=allow),
        metric=_metric(trial, allow),
    )


def load_weights(module: nn.Module, file: Path, *, shown: str) -> None:
    """Every tensor of the file into the module, all of them and no others; shared ones lie there once.

    Raises:
        UserError: they don't fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{shown}: weights {file.name} don't fit its network: {error}") from error


def _metric(trial: TrialRecord, allow: Collection[str] | None) -> MetricFunction | None:
    dotted = trial.spec.train.metric
    return None if dotted is None else load_function(dotted, what="train.metric", allow=allow)


def n_threads(trial: TrialRecord) -> int:
    """As many as it was trained with: another number adds in another order."""
    row = trial.measured("val_error")
    conditions = None if row is None else row["conditions"]
    found = conditions.get("threads") if isinstance(conditions, dict) else None
    return found if isinstance(found, int) and found > 0 else 1


def _plain(module: nn.Module) -> nn.Module:
    """On the CPU, in evaluation mode, needing no gradient, in the usual layout of memory."""
    import torch

    module.cpu().eval().requires_grad_(requires_grad=False)
    return module.to(memory_format=torch.contiguous_format)  # type: ignore[no-any-return, call-overload]
