"""`nasd doctor`: what is wrong with this environment, and what to do about each thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasd.app.doctor import Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    folder: Annotated[Path, typer.Option("--in", help="The folder of your study files.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Check this environment: versions, torch, services, migrations, clocks, disk; each finding with its remedy.

    Exit code 1 if there is a problem; warnings alone leave it 0. Changes nothing and starts nothing.

    \b
    Example:
        nasd doctor
        NASD_DATABASE_URL=postgresql://db/nasd nasd doctor --json
    """
    from nasd.app.doctor import Verdict, examine
    from nasd.config import read_settings

    findings = examine(read_settings(), folder=folder)
    if json:
        _print_json(findings)
    else:
        _print(findings)
    if any(finding.verdict is Verdict.PROBLEM for finding in findings):
        raise typer.Exit(1)


def _print_json(findings: Sequence[Finding]) -> None:
    import dataclasses
    from json import dumps

    print(dumps([dataclasses.asdict(finding) for finding in findings], indent=2))


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        style = _STYLES[finding.verdict]
        console.print(f"[{style}]{finding.verdict:<8}[/] {escape(finding.check)}: {escape(finding.found)}")
        if finding.remedy:
            console.print(f"         -> {escape(finding.remedy)}")
