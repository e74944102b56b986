"""`nasd measure`: a finished study's networks on a device that joined later."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout
from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.domain.ids import DeviceKind

if TYPE_CHECKING:
    from nasd.app.measure import Asked


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("measure")(measure)


def measure(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    *,
    device: Annotated[str, typer.Option(metavar="KIND", help="The device kind to measure on.")],
    front: Annotated[
        bool, typer.Option("--front/--all", help="The members of its fronts, or everything that completed.")
    ] = True,
    of: Annotated[
        list[str] | None, typer.Option("--of", metavar="OBJECTIVE", help="Measure this alone; may be repeated.")
    ] = None,
    runtime: Annotated[Runtime | None, typer.Option(help="What runs a network there.", show_default=False)] = None,
    provider: Annotated[str | None, typer.Option(help="The processor it must run on, such as cuda.")] = None,
    precision: Annotated[DevicePrecision | None, typer.Option(help="Of its arithmetic.", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads it may use.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples in one forward pass.")] = None,
) -> None:
    """Measure trials of a study on a device kind that joined later, or that missed some.

    A finished study runs until they are measured. A new kind gets a front of its own, made of the trials that there
    are. Nothing is trained, and no proposal and no other front changes. What runs a network there is said by the
    options, or by [devices.KIND] of the study's file.

    \b
    Example:
        nasd measure kitchen --device pi5
        nasd measure kitchen --device pi5 --all --runtime onnxruntime --precision int8 --threads 4
    """
    from nasd.app.measure import measure_on
    from nasd.app.reading import StudyArgument, endpoints
    from nasd.config import read_settings
    from nasd.ports.trials import Wanted
    from nasd.store.studies import PgStudies

    named, kind = StudyArgument.parse(study), _kind(device)
    how = _device(runtime=runtime, provider=provider, precision=precision, threads=threads, batch=batch)
    with endpoints(read_settings(), named.file) as found:
        studies = PgStudies(found.database["controller"])
        which = Wanted.FRONT if front else Wanted.ALL
        asked = measure_on(studies, named, kind, which, device=how, of=tuple(of or ()))
    print(_text(asked))
    if not asked.n_controllers:
        print("no controller runs: `nasd run` its study file, or start `nasd controller`", file=sys.stderr)


def _kind(text: str) -> DeviceKind:
    from nasd.errors import UserError
    from nasd.studyfile.rules import is_kind

    if not is_kind(text):
        raise UserError(f'--device {text}: is no name of a device kind. Use lower-case letters, digits and "-": pi5')
    return DeviceKind(text)


def _device(
    *,
    runtime: Runtime | None,
    provider: str | None,
    precision: DevicePrecision | None,
    threads: int | None,
    batch: int | None,
) -> DeviceSpec | None:
    """None where no option was given."""
    from nasd.errors import UserError

    if not any((runtime, provider, precision, threads, batch)):
        return None
    try:
        return DeviceSpec(
            runtime=runtime or Runtime.EAGER,
            provider=provider,
            precision=precision or DevicePrecision.FP32,
            threads=threads,
            batch=batch,
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def _text(asked: Asked) -> str:
    what = "everything that completed" if asked.which == "all" else "the members of its fronts"
    device = asked.device
    processor = device.provider or ("cpu" if device.needs_artifact else "torch's choice of processor")
    how = (
        f"{device.runtime} on {processor}, {device.precision}, "
        f"{layout.count(device.threads or 1, 'thread')}, batch {device.batch}"
    )
    new = f" ({how})" if asked.is_new else ""
    return f"{asked.study}: {what} will be measured on {asked.device_kind}{new}; see `nasd status {asked.study}`"
