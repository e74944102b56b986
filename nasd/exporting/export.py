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
from nasd.domain.devices import DevicePrecision
from nasd.errors import UserError
from nasd.exporting import formats
from nasd.exporting.accuracy import Accuracy, accuracy
from nasd.exporting.card import Exported, as_json, as_text
from nasd.exporting.formats import Array, Format, Network, Written
from nasd.exporting.parity import Parity, difference, parity
from nasd.exporting.preprocessing import Interface
from nasd.exporting.trained import Trained, agreement, initial
from nasd.exporting.trial import TrialRecord

CARD, FACTS = "MODEL_CARD.md", "model.json"
_EXAMPLES = 16  # samples that the exporter sees
_COMPARED = 256  # samples that parity is checked on
_CALIBRATED = 128  # samples of the training split that int8 is calibrated on, as for devices
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
    precision: DevicePrecision = DevicePrecision.FP32,
    allow: Collection[str] | None = None,
) -> Exported:
    """Write the network's file, its card and its facts into the folder `into`, all of them or none.

    A file in fewer bits than float32 is held to no limit; what it costs is in `Exported.accuracy`.

    Raises:
        UserError: the format can't hold this network, or its file does not agree with it.
    """
    formats.require_precision(wanted, precision)
    require_free(into)
    interface = Interface.of(split, trial.facts, use=trial.spec.data.use)
    samples = interface.prepared(split.validation_x[:_COMPARED])
    network = Network(
        trained.module,
        samples[:_EXAMPLES],
        trial,
        lambda: initial(trial, allow=allow),
        precision,
        None if precision is DevicePrecision.FP32 else interface.prepared(_spread(split.train_x)),
    )
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as temporary:
        folder = Path(temporary)
        written = formats.write(network, wanted, folder)
        if precision is DevicePrecision.FP32:
            compared, cost = parity(trained.module, written, samples), None
        else:
            compared = difference(trained.module, written, samples)
            cost = accuracy(trial, trained, written, split, allow=allow)
        made = _exported(
            trial,
            trained,
            written,
            wanted=wanted,
            precision=precision,
            compared=compared,
            cost=cost,
            interface=interface,
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


def _exported(
    trial: TrialRecord,
    trained: Trained,
    written: Written,
    *,
    wanted: Format,
    precision: DevicePrecision,
    compared: Parity,
    cost: Accuracy | None,
    interface: Interface,
) -> Exported:
    sha256, n_bytes = sha256_of(written.path)
    return Exported(
        format=wanted,
        precision=precision,
        file=written.path.name,
        sha256=sha256,
        n_bytes=n_bytes,
        batch=written.batch,
        parity=compared,
        accuracy=cost,
        source=trained.source,
        val_error=trained.val_error,
        val_loss=trained.val_loss,
        agreement=agreement(trained, trial),
        interface=interface,
        versions={name: found for name in _PACKAGES if (found := _version(name))},
    )


def _spread(x: Array) -> Array:
    """Samples for calibration, from all over the training split; some twice where there are few."""
    rows = np.linspace(0, len(x) - 1, num=_CALIBRATED).astype(np.intp)
    found: Array = x[rows]
    return found


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
