"""`nasd devices`: what a study learned of device kinds as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.app.compare import Agreement, DeviceComparison, Fallen
    from nasd.store.view_rows import StudyRow

_SHOWN = 12  # members that fell off, of each pair


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="`compare` the device kinds of a study.")
    group.command("compare")(compare)
    app.add_typer(group, name="devices")


def compare(  # noqa: PLR0917 - options, none of them positional
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    devices: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Only these, with commas; default: all of the study.")
    ] = None,
    max_tau: Annotated[
        float | None,
        typer.Option(
            "--max-tau", min=-1.0, max=1.0, help="Exit code 1 where two kinds rank latencies more alike than this."
        ),
    ] = None,
    predictor: Annotated[
        bool, typer.Option("--predictor", help="Also the error of each kind's latency predictor; takes seconds.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="PACKAGE", help="With --predictor: where the study's `costs` come from."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Say how much device kinds differ: whether what is fast on one is fast on another, and whether size tells.

    Rank correlations (1: the same order, 0: none, -1: the reverse) are over the trials that both sides know, whatever
    became of them. A member falls off where it was measured on another kind and others beat it there; beyond noise
    means that the two change places by more than their spreads on both.

    \\b
    Example:
        nasd devices compare kitchen
        nasd devices compare kitchen --devices pi5,orin --json | jq '.pairs[0].latency.kendall'
        nasd devices compare kitchen --max-tau 0.9 || echo "two kinds are one"
    """
    from nasd.app.compare import compare_devices
    from nasd.app.reading import StudyArgument, connected, endpoints, known_study
    from nasd.cli.front import chosen_kinds
    from nasd.config import read_settings
    from nasd.store import views

    named = StudyArgument.parse(study)
    with endpoints(read_settings(), named.file) as places:
        with connected(places, "reader") as connection:
            row = known_study(connection, named.name)
            kinds = chosen_kinds(row, device=None, devices=devices)
            trials = views.device_trials(connection, row.study)
        predicted = _predicted(places.database["controller"], row, kinds, named.file, allow or ()) if predictor else {}
    found = compare_devices(trials, kinds, {kind: row.objectives_on(kind) for kind in kinds})
    alike = [] if max_tau is None else found.too_alike(max_tau)
    described = _descriptions(row, kinds)
    if json:
        print(layout.printable(_json(row, found, described, alike) | ({"predictors": predicted} if predictor else {})))
    else:
        print(_text(row, found, described, alike) + _predictors(predicted))
    if alike:
        raise typer.Exit(1)


def _predicted(
    url: str, study: StudyRow, kinds: Sequence[str], file: Path | None, allow: Sequence[str]
) -> dict[str, dict[str, object] | None]:
    """Kind -> the error of its predictor as plain values."""
    from nasd.app.predictors import predictor_errors
    from nasd.app.users import in_folder
    from nasd.config import read_settings, with_users_code

    settings = with_users_code(read_settings(), allow=allow, folder=None, of="controller")
    with in_folder(file.parent if file else Path()):
        errors = predictor_errors(url, study.study, kinds, allow=settings.controller.allow)
    return {kind: None if each is None else asdict(each) for kind, each in errors.items()}


def _predictors(predicted: Mapping[str, Mapping[str, object] | None]) -> str:
    if not predicted:
        return ""
    headers = (
        "kind",
        "measured",
        "error",
        "rank correlation",
        "front members",
        "error there",
        "rank correlation there",
    )
    cells = [[kind, *_quality(each, "all"), *_quality(each, "on_front")] for kind, each in predicted.items()]
    title = (
        "latency predicted from the architecture, each measurement left out in turn; orders measuring, enters no front"
    )
    return f"\n\n{title}\n{layout.table(headers, cells, right=range(1, 7))}"


def _quality(each: Mapping[str, object] | None, of: str) -> list[str]:
    found = None if each is None else each[of]
    if not isinstance(found, Mapping):
        return ["too few", "-", "-"]
    return [str(found["n"]), f"{found['mape']:.1%}", f"{found['rank_correlation']:.2f}"]


def _descriptions(study: StudyRow, kinds: Sequence[str]) -> dict[str, str]:
    """Kind -> what runs a network there, by the study file."""
    from nasd.domain.ids import DeviceKind
    from nasd.studyfile import spec_from_json

    spec = spec_from_json(study.spec)
    devices = {kind: spec.device_on(DeviceKind(kind)) for kind in kinds}
    return {
        kind: f"{device.offer}, {device.precision}, batch {device.batch}, {layout.count(device.threads or 1, 'thread')}"
        for kind, device in devices.items()
    }


def _json(
    study: StudyRow, found: DeviceComparison, described: Mapping[str, str], alike: Sequence[str]
) -> dict[str, object]:
    fallen = [asdict(each) for each in found.fallen]
    unknown = [{"of": of, "on": on, "trials": trials} for (of, on), trials in found.unknown.items() if trials]
    return {
        "study": study.study,
        "kinds": [
            {
                "device_kind": kind,
                "runs": described[kind],
                "n_measured": n,
                "front": found.fronts[kind],
                **{f"{size}_to_latency": asdict(each) for size, each in found.sizes[kind].items()},
            }
            for kind, n in found.measured.items()
        ],
        "pairs": [asdict(pair) for pair in found.pairs],
        "fallen": fallen,
        "not_measured": unknown,
        "too_alike": list(alike),
    }


def _text(study: StudyRow, found: DeviceComparison, described: Mapping[str, str], alike: Sequence[str]) -> str:
    sections = [
        f"device kinds of {study.study}\n{_kinds(found, described)}",
        *([f"pairs\n{_pairs(found)}"] if found.pairs else ["one device kind: nothing to compare it with"]),
        *([f"members of one front that fall off another\n{_fallen(found)}"] if found.pairs else []),
        *(["\n".join(f"TOO ALIKE  {said}" for said in alike)] if alike else []),
    ]
    return "\n\n".join(sections)


def _kinds(found: DeviceComparison, described: Mapping[str, str]) -> str:
    headers = ("kind", "measured", "front", "params to latency", "FLOPs to latency", "runs")
    cells = [
        (
            kind,
            str(n),
            layout.count(len(found.fronts[kind]), "member"),
            _agreement(found.sizes[kind]["params"]),
            _agreement(found.sizes[kind]["flops"]),
            described[kind],
        )
        for kind, n in found.measured.items()
    ]
    return layout.table(headers, cells, right=(1, 2))


def _pairs(found: DeviceComparison) -> str:
    headers = ("kinds", "common trials", "latency to latency", "on both fronts", "of all on either")
    cells = [
        (
            " and ".join(pair.kinds),
            str(pair.latency.n),
            _agreement(pair.latency),
            str(len(pair.shared)),
            "-" if pair.jaccard is None else f"{pair.jaccard:.0%}",
        )
        for pair in found.pairs
    ]
    return layout.table(headers, cells, right=(1, 3, 4))


def _agreement(each: Agreement) -> str:
    if each.kendall is None or each.spearman is None:
        return f"not defined (n {each.n})"
    return f"tau {each.kendall:.2f}, rho {each.spearman:.2f} (n {each.n})"


def _fallen(found: DeviceComparison) -> str:
    lines = []
    for (of, on), unknown in found.unknown.items():
        fallen = [each for each in found.fallen if (each.of, each.on) == (of, on)]
        there = len(found.fronts[of]) - len(unknown)
        clear = f", {sum(each.is_clear for each in fallen)} of them beyond noise" if fallen else ""
        said = f"{len(fallen)} of {there} known there{clear}" if there else "none is known there"
        missing = f"; {len(unknown)} not measured there" if unknown else ""
        lines.append(f"  of {of}, on {on}: {said}{missing}")
        lines += [f"    {_trial(each)}" for each in fallen[:_SHOWN]]
        lines += [f"    and {len(fallen) - _SHOWN} more: --json lists all"] if len(fallen) > _SHOWN else []
    return "\n".join(lines)


def _trial(each: Fallen) -> str:
    if not each.beaten_by:
        return f"trial {each.trial}: nothing on that front beats it; a limit or its state keeps it off"
    beaten_by = ", ".join(map(str, each.beaten_by[:3])) + (" ..." if len(each.beaten_by) > 3 else "")
    noise = "" if each.is_clear else ", within noise"
    return f"trial {each.trial}: beaten there by {beaten_by}{noise}"
