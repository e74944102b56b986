"""Runs the digits example through `nasd run` under other names, seeds and strategies, for the benches beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from nasd.services import attach

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits-mlp.toml"


def write_example(folder: Path, name: str, *, use: str, seed: int, trials: int) -> Path:
    """The example under another name, in `folder`."""
    text = EXAMPLE.read_text()
    for key, value in (("name", f'"{name}"'), ("seed", seed), ("use", f'"{use}"'), ("trials", trials)):
        pattern = rf"(?m)^{key} = .*$" if key != "use" else r'(?m)^use = "screened".*$'
        text, n = re.subn(pattern, f"{key} = {value}", text)
        if n != 1:
            raise RuntimeError(f"{EXAMPLE} has {n} lines for {key}")
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def run_example(folder: Path, name: str, *, use: str, seed: int, trials: int, workers: int) -> None:
    """One study, to its end, in the home of `folder`."""
    run_study(folder, write_example(folder, name, use=use, seed=seed, trials=trials), workers=workers)


def run_study(folder: Path, path: Path, *, workers: int) -> None:
    """The study of `path`, to its end, in the home of `folder`."""
    subprocess.run(
        [sys.executable, "-m", "nasd", "run", path, "--workers", str(workers)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NASD_HOME": str(folder / "home")},
    )


@contextmanager
def database_of(folder: Path) -> Iterator[psycopg.Connection]:
    """A connection to the database of the home of `folder`."""
    with attach(folder / "home") as services, psycopg.connect(services.database_url("admin")) as connection:
        yield connection
