"""`nasd export`: a trial's trained network as a file for elsewhere, with a model card."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout
from nasd.domain.devices import DevicePrecision

if TYPE_CHECKING:
    from nasd.exporting.card import Exported
    from nasd.exporting.reading import Shelf
    from nasd.exporting.trained import Trained
    from nasd.exporting.trial import TrialRecord

DIFFERENT = 1


class Format(StrEnum):
    """What is written."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    PT2 = "pt2"
    EXECUTORCH = "executorch"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(  # noqa: PLR0917 - options, none of them positional
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number, as `nasd front` lists it.")],
    style: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.ONNX,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where to; default: STUDY-TRIAL-FORMAT(-PRECISION) here."),
    ] = None,
    precision: Annotated[
        DevicePrecision, typer.Option("--precision", help="Of an onnx file: converted as for devices.")
    ] = DevicePrecision.FP32,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="PACKAGE", help="Run the study's functions from this package; may be repeated."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the study's packages and files are; default: the file's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Write a trial's trained network, checked against itself, with MODEL_CARD.md and model.json beside it.

    Where the weights were not kept the trial is trained again: same seed, same data, same steps. Its validation error
    is compared with the recorded one; exit code 1 where they don't agree (another processor or version, usually).
    With --precision fp16 or int8 the file is validated as well: what the conversion costs is printed and on the card.

    \b
    Example:
        nasd export kitchen 17
        nasd export kitchen.toml 17 --format safetensors --out shipped
        nasd export kitchen 17 --format pt2 --allow my_pkg
        nasd export kitchen 17 --precision int8
    """
    from nasd.config import read_settings, with_users_code

    settings = with_users_code(read_settings(), allow=allow or (), folder=folder)
    _require_torch()
    from nasd.exporting import formats
    from nasd.exporting.export import export as write
    from nasd.exporting.export import require_free, split_of
    from nasd.exporting.reading import stored_trial
    from nasd.exporting.trial import require_network

    wanted, packages, here = formats.Format(style), settings.worker.allow, Path.cwd()
    formats.require_precision(wanted, precision)
    formats.require_packages(wanted)
    with stored_trial(settings, study, trial, folder=settings.worker.folder) as (record, shelf):
        require_network(record)
        into = here / (out or f"{record.study}-{trial}-{_named(style, precision)}")
        require_free(into)
        trained = _trained(record, shelf, packages)
        split = split_of(record, allow=packages)
        made = write(record, trained, split, wanted=wanted, into=into, precision=precision, allow=packages)
    print(layout.printable(_facts(made, into)) if json else _text(made, into))
    if not made.agreement.is_good:
        print("warning: the network does not reach what the study recorded; see its card", file=sys.stderr)
        raise typer.Exit(DIFFERENT)


def _require_torch() -> None:
    from importlib.util import find_spec

    from nasd.errors import Unavailable

    if find_spec("torch") is None:
        raise Unavailable('nasd export: needs torch, which is not installed here. pip install "nasd[train,export]"')


def _trained(record: TrialRecord, shelf: Shelf, packages: tuple[str, ...]) -> Trained:
    """Says what will take time before it does."""
    from nasd.exporting.building import trained_network

    took = f" (that took {layout.duration(record.took_s)} in the study)" if record.took_s is not None else ""
    if record.weights is None:
        _say(f"{record.shown}: no weights are stored; training it again for {record.steps} steps{took} ...")
    trained = trained_network(record, shelf, allow=packages)
    if trained.source == "trained again" and (why := shelf.keep(record, trained.module)) is not None:
        _say(f"note: the weights are not kept for the next time: {why}")
    return trained


def _named(style: Format, precision: DevicePrecision) -> str:
    """As artifacts for devices are called; a converted file does not take the place of the one it came from."""
    return str(style) if precision is DevicePrecision.FP32 else f"{style}-{precision}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _facts(made: Exported, into: Path) -> dict[str, object]:
    return {
        "folder": str(into),
        "file": made.file,
        "format": str(made.format),
        "sha256": made.sha256,
        "n_bytes": made.n_bytes,
        "batch": made.batch,
        "precision": str(made.precision),
        "accuracy": None if made.accuracy is None else made.accuracy.to_json(),
        "parity": made.parity.error,
        "n_unstable": made.parity.n_unstable,
        "weights": made.source,
        "val_error": made.agreement.now,
        "recorded_val_error": made.agreement.recorded,
        "agrees": made.agreement.is_good,
    }


def _text(made: Exported, into: Path) -> str:
    batch = "any batch" if made.batch is None else f"batches of {made.batch} alone"
    return "\n".join(
        [
            f"{into / made.file}: {made.n_bytes:,} bytes, {batch}",
            f"  weights  {made.source}: {made.agreement}",
            *([f"  {made.precision:<7}  {made.accuracy}"] if made.accuracy is not None else []),
            f"  parity   {made.parity}",
            "  beside   MODEL_CARD.md (fill in its licence), model.json",
        ]
    )
