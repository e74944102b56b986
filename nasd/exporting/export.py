"""Exporting one trial: its trained network as a file that is seen to agree with it, with a card beside it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from nasd.artifacts.hashing import sha256_of
from nasd.data import SearchSplit, search_split
from nasd.errors import UserError
from nasd.exporting import formats
from nasd.exporting.card import Exported, as_json, as_text
from nasd.exporting.formats import Format, Network
from nasd.exporting.parity import parity
from nasd.exporting.preprocessing import Interface
from nasd.exporting.trained import Trained, agreement, initial
from nasd.exporting.trial import TrialRecord

CARD, FACTS = "MODEL_CARD.md", "model.json"
_EXAMPLES = 16  # samples that the exporter sees
_COMPARED = 256  # samples that parity is checked on
_PACKAGES = ("nasd", "torch", "numpy", "onnx", "onnxscript", "onnxruntime", "safetensors", "executorch")


def split_of(trial: TrialRecord, *, allow: Collection[str] | None) -> SearchSplit:
    """The data that the trial was trained on: train and validation, and no others.

    Raises:
        UserError, WorldFault: this machine does not have them.
    """
    return search_split(trial.spec.data, trial.facts, task=trial.spec.train.task, allow=allow)


def export(
    trial: TrialRecord,
    trained: Trained,
    split: SearchSplit,
    *,
    wanted: Format,
    into: Path,
    allow: Collection[str] | None = None,
) -> Exported:
    """Write the network's file, its card and its facts into the folder `into`, all of them or none.

    Raises:
        UserError: the format can't hold this network, or its file does not agree with it.
    """
    interface = Interface.of(split, trial.facts, use=trial.spec.data.use)
    samples = interface.prepared(split.validation_x[:_COMPARED])
    require_free(into)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as temporary:
        folder = Path(temporary)
        network = Network(trained.module, samples[:_EXAMPLES], trial, lambda: initial(trial, allow=allow))
        written = formats.write(network, wanted, folder)
        compared = parity(trained.module, written, samples)
        sha256, n_bytes = sha256_of(written.path)
        made = Exported(
            format=wanted,
            file=written.path.name,
            sha256=sha256,
            n_bytes=n_bytes,
            batch=written.batch,
            parity=compared,
            source=trained.source,
            val_error=trained.val_error,
            val_loss=trained.val_loss,
            agreement=agreement(trained, trial),
            interface=interface,
            versions={name: found for name in _PACKAGES if (found := _version(name))},
        )
        (folder / CARD).write_text(as_text(trial, made), encoding="utf-8")
        facts = json.dumps(as_json(trial, made), indent=1, default=_plain)
        (folder / FACTS).write_text(facts + "\n", encoding="utf-8")
        _move(folder, into)
    return made


def require_free(into: Path) -> None:
    """Refuse to write over what is no export of ours.

    Raises:
        UserError: says what stands there.
    """
    if into.exists() and not (into.is_dir() and (not any(into.iterdir()) or (into / FACTS).exists())):
        raise UserError(f"--out {into}: exists and is no earlier export. Name another folder, or remove it")


def _move(folder: Path, into: Path) -> None:
    """File by file into a folder that is there; an earlier export's own files give way."""
    into.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.chmod(0o644)
        shutil.move(path, into / path.name)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
