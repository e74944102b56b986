"""The user's own code ahead of a study: importable, its files there; told before anything is started or stored."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from nasd.domain.data import INIT
from nasd.domain.study import StudySpec
from nasd.errors import FunctionError, UserError
from nasd.usercode import environment, file_sha256, functions_of, load_function


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Within, relative paths begin in `folder`, and packages are found there too, after all others.

    Where the command was given is looked in last.
    """
    before, here = list(sys.path), str(Path.cwd())
    sys.path += [str(folder.resolve()), here]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path[:] = before


def check_functions(spec: StudySpec) -> None:
    """Import every function that the study names, in a process of its own: what they import stays out of this one.

    Raises:
        FunctionError: one of them can't be had.
    """
    functions = functions_of(spec)
    functions.pop("data.load", None)  # it is called next, and says more then
    if not functions:
        return
    reading, writing = os.pipe()
    order = json.dumps({"functions": functions, "path": sys.path})
    with os.fdopen(reading, "rb") as answer:
        command = [sys.executable, "-P", "-m", "nasd.app.users", str(writing), order]
        with subprocess.Popen(command, pass_fds=(writing,), stdin=subprocess.DEVNULL, env=environment()) as process:
            os.close(writing)
            text = answer.readline()  # not to its end, which processes that users' code left may hold open
    if not text:
        named = ", ".join(f'{key} = "{dotted}"' for key, dotted in functions.items())
        raise FunctionError("import_error", f"{named}: importing it ended the process ({process.returncode}). Mend it")
    found = json.loads(text)
    if found:
        raise FunctionError(found["reason"], found["message"])


def start_hashes(spec: StudySpec) -> Mapping[str, str]:
    """The hash of the file that weights begin with, by its name in `DataFacts.sha256`; empty where there is none.

    Raises:
        UserError: it can't be read.
    """
    if spec.model.init is None:
        return {}
    shown = f'model.init = "{spec.model.init}"'
    try:
        sha256 = file_sha256(Path(spec.model.init))
    except OSError as error:
        remedy = "Give its path as seen from the study file's folder"
        raise UserError(f"{shown}: {error.strerror}. {remedy}") from error
    _check_tensors(spec.model.init, shown)
    return {INIT: sha256}


def _check_tensors(file: str, shown: str) -> None:
    """Refuse here what every worker would refuse; only the file's header is read."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError(f"{shown}: needs the package safetensors. pip install safetensors") from error
    try:
        with safe_open(file, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        remedy = "Save it as one: safetensors.torch.save_file(module.state_dict(), FILE)"
        raise UserError(f"{shown}: is not a safetensors file. {remedy}") from error


def _main(descriptor: int, order: Mapping[str, object]) -> None:
    """Import them, and write what went wrong, or an empty object."""
    path, functions = order["path"], order["functions"]
    assert isinstance(path, list)
    assert isinstance(functions, dict)
    sys.path += [entry for entry in path if entry not in sys.path]
    found = {}
    try:
        for key, dotted in functions.items():
            load_function(dotted, what=key, allow=None)
    except FunctionError as error:
        found = {"reason": error.reason, "message": str(error)}
    sys.stdout.flush()
    os.write(descriptor, json.dumps(found).encode() + b"\n")
    os._exit(0)  # threads of users' code are not waited for


if __name__ == "__main__":
    _main(int(sys.argv[1]), json.loads(sys.argv[2]))
