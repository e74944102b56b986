"""`nasd init`: a commented study file to start from."""

from __future__ import annotations

import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from nasd.errors import Unavailable, UserError

SPACES = ("mlp", "cnn", "transformer", "custom")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("study.toml"),
    space: Annotated[str, typer.Option(help=f"The search space: {', '.join(SPACES)}.")] = "mlp",
    data: Annotated[Path | None, typer.Option(help="A file or folder with your data.", show_default="digits")] = None,
) -> None:
    """Write a commented study file to start from; never overwrites one.

    Every key stands in it with its default and what it means, so edit and run it.

    \b
    Example:
        nasd init kitchen.toml
        nasd init kitchen.toml --space cnn --data photos/
        nasd plan kitchen.toml
        nasd run kitchen.toml
    """
    if space not in SPACES:
        raise UserError(f"--space {space}: no such space. Use one of: {', '.join(SPACES)}")
    if data is not None and not data.exists():
        raise UserError(
            f"--data {data}: no such file or folder. Name one that is there, or leave --data out for digits"
        )
    target = file.with_name(f"{file.name}.toml") if not file.suffix else file
    _write_new(target, template(space, files=None if data is None else _seen_from(target.parent, data)))
    print(f"Wrote {target}. Next: nasd plan {target}")


def template(space: str, *, files: str | None = None) -> str:
    """The study file for a kind of space.

    Args:
        files: `data.files`, in place of the digits.
    """
    from nasd.studyfile.known import RECIPES

    text = _part("study").replace("@SPACE@\n", _part(f"space-{space}") + "\n")
    for key, value in RECIPES.get(space, {}).items():  # the family's own, so that the file shows what holds
        text = re.sub(rf"^(# )?{key} = [\d.]+", f"{key} = {value}", text, flags=re.MULTILINE)
    lines = text.splitlines(keepends=True)
    if files is not None:
        kept = [line for line in lines if not line.startswith(("use = ", "# files = "))]
        at = next(index for index, line in enumerate(kept) if line.startswith("[data]")) + 1
        lines = [*kept[:at], f"files = {json.dumps(files)}\n", *kept[at:]]
    return "".join(lines)


def _part(name: str) -> str:
    return resources.files("nasd.cli").joinpath("templates", f"{name}.toml").read_text(encoding="utf-8")


def _seen_from(folder: Path, data: Path) -> str:
    """Relative paths in a study file begin at its own folder."""
    return str(data) if data.is_absolute() else os.path.relpath(data, folder)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise Unavailable(f"{path} exists and is left as it is. Choose another name or remove it first") from error
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error.strerror}. Choose another place") from error
