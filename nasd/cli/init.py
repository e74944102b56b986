"""`nasd init`: a commented study file to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from nasd.errors import NotBuiltYet, Unavailable, UserError

SPACES = ("mlp",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("study.toml"),
    space: Annotated[str, typer.Option(help="The search space: mlp.")] = "mlp",
    data: Annotated[Path | None, typer.Option(help="A folder with your data (not built in this version).")] = None,
) -> None:
    """Write a commented study file to start from; never overwrites one.

    Every key stands in it with its default and what it means, so edit and run it.

    \b
    Example:
        nasd init kitchen.toml
        nasd plan kitchen.toml
        nasd run kitchen.toml
    """
    if data is not None:
        raise NotBuiltYet(
            f"--data {data}: data sets from files are not built in this version. "
            'Leave --data out; the study then uses the data set "digits"'
        )
    if space not in SPACES:
        raise UserError(
            f"--space {space}: no such space, or not built in this version. Use one of: {', '.join(SPACES)}"
        )
    target = file.with_name(f"{file.name}.toml") if not file.suffix else file
    _write_new(target, files("nasd.cli").joinpath("templates", f"{space}.toml").read_text(encoding="utf-8"))
    print(f"Wrote {target}. Next: nasd plan {target}")


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise Unavailable(f"{path} exists and is left as it is. Choose another name or remove it first") from error
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error.strerror}. Choose another place") from error
