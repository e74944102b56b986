"""`build` and `load`: a trial's network as a `torch.nn.Module`, for the user's own program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from nasd import data
from nasd.app.users import in_folder
from nasd.config import read_settings
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.seeding import evaluation_seed
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.exporting.export import split_of
from nasd.exporting.reading import Shelf, stored_trial
from nasd.exporting.trained import Trained, initial, load_weights, train_again, with_weights
from nasd.exporting.trial import TrialRecord, require_network
from nasd.studyfile import spec_from_json


def build(
    study: str | Path | StudySpec, trial: int | Architecture, *, trained: bool = False, folder: Path | None = None
) -> nn.Module:
    """A trial's network, on the CPU and in evaluation mode.

    Args:
        study: its name or file, as on the command line; or a study that was never stored.
        trial: its number; for a `StudySpec` an architecture of its space.
        trained: with the weights that the training ended with: stored ones, or trained again now, which takes as long
            as it did in the study. Otherwise with those that it begins with.
        folder: where the study's packages and files are; None: the study file's folder, or the current one.

    Raises:
        UserError: there is no such study or trial, nasd knows no network of it, or its training fails.
    """
    if isinstance(study, StudySpec):
        if not isinstance(trial, Architecture):
            raise TypeError(f"trial is an Architecture where the study is a StudySpec, not {type(trial).__name__}")
        with in_folder(folder or Path()):
            return _module(_unstored(study, trial), None, trained=trained)
    if isinstance(trial, Architecture):
        raise TypeError("trial is a number where the study is a name or file")
    with stored_trial(read_settings(), str(study), trial, folder=folder) as (record, shelf):
        return _module(record, shelf, trained=trained)


def load(path: str | Path) -> nn.Module:
    """The trained network out of a file that `nasd export --format safetensors` wrote, in evaluation mode on the CPU.

    A module of the user's own is built by their function, which must be importable.

    Raises:
        UserError: the file is another one, or its network can't be built here.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            said: Mapping[str, Any] = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
        trial = TrialRecord(
            study=said["study"],
            number=said["trial"],
            spec=spec_from_json(said["spec"]),
            facts=DataFacts.from_json(said["data"]),
            architecture=Architecture.from_json(said["architecture"]),
            seed=said["seed"],
            steps=0,
        )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: is no file of `nasd export --format safetensors` ({error!r})") from error
    module = initial(trial, allow=None)
    load_weights(module, Path(path), shown=trial.shown)
    return module.eval()


def trained_network(trial: TrialRecord, shelf: Shelf | None, *, allow: tuple[str, ...] | None) -> Trained:
    """From the shelf where it has the weights, else trained again (and put there by who asks).

    Raises:
        UserError: the training fails, or the data are not here.
    """
    split = split_of(trial, allow=allow)
    if shelf is not None and trial.weights is not None:
        with shelf.fetched(trial.weights) as file:
            if file is not None:
                return with_weights(trial, split, file, allow=allow)
    return train_again(trial, split, allow=allow)


def _module(trial: TrialRecord, shelf: Shelf | None, *, trained: bool) -> nn.Module:
    require_network(trial)
    if not trained:
        return initial(trial, allow=None)
    return trained_network(trial, shelf, allow=None).module


def _unstored(spec: StudySpec, architecture: Architecture) -> TrialRecord:
    return TrialRecord(
        study=spec.name,
        number=0,
        spec=spec,
        facts=data.describe(spec.data, spec.train.task),
        architecture=architecture,
        seed=evaluation_seed(spec.seed, architecture.key, 0),
        steps=spec.train.steps,
    )
