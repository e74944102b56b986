"""The user's own code ahead of a study: importable, its files there; told before anything is started or stored."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasd.controller.costs import declared_costs
from nasd.domain.architecture import Architecture
from nasd.domain.data import INIT
from nasd.domain.study import StudySpec
from nasd.errors import FunctionError, UserError
from nasd.studyfile import spec_from_json, spec_to_json
from nasd.usercode import controller_functions_of, environment, file_sha256, functions_of, load_function


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
    functions = {**functions_of(spec), **controller_functions_of(spec)}
    functions.pop("data.load", None)  # it is called next, and says more then
    if functions:
        _ask(functions, {"functions": functions})


def check_costs(spec: StudySpec, architectures: Sequence[Architecture]) -> None:
    """Call the function of `evaluation.costs` twice on each of `architectures`, in a process of its own.

    Raises:
        FunctionError: it raised something, returned something else than finite numbers by the names of objectives and
            limits, or not the same ones twice.
    """
    functions = controller_functions_of(spec)
    if functions:
        _ask(functions, {"costs_of": spec_to_json(spec), "architectures": [each.json for each in architectures]})


def _ask(functions: Mapping[str, str], order: Mapping[str, object]) -> None:
    reading, writing = os.pipe()
    text = json.dumps({**order, "path": sys.path})
    with os.fdopen(reading, "rb") as answer:
        command = [sys.executable, "-P", "-m", "nasd.app.users", str(writing), text]
        with subprocess.Popen(command, pass_fds=(writing,), stdin=subprocess.DEVNULL, env=environment()) as process:
            os.close(writing)
            line = answer.readline()  # not to its end, which processes that users' code left may hold open
    if not line:
        named = ", ".join(f'{key} = "{dotted}"' for key, dotted in functions.items())
        raise FunctionError("import_error", f"{named}: it ended the process ({process.returncode}). Mend it")
    found = json.loads(line)
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


def _import_all(functions: Mapping[str, str]) -> None:
    for key, dotted in functions.items():
        load_function(dotted, what=key, allow=None)


def _try_costs(spec: StudySpec, texts: Sequence[str]) -> None:
    declared = declared_costs(spec, allow=None)
    for architecture in map(Architecture.from_json, texts):
        once, again = declared(architecture), declared(architecture)
        for name in once:
            if once[name] != again[name]:
                key, dotted = next(iter(controller_functions_of(spec).items()))
                problem = f"returned {name} = {once[name]:g}, then {again[name]:g} for the same architecture"
                raise FunctionError("bad_costs", f'{key} = "{dotted}": {problem}. Leave chance and clocks out of it')


def _main(descriptor: int, order: Mapping[str, Any]) -> None:
    """Import or call them, and write what went wrong, or an empty object."""
    sys.path += [entry for entry in order["path"] if entry not in sys.path]
    found = {}
    try:
        _import_all(order.get("functions", {}))
        if "costs_of" in order:
            _try_costs(spec_from_json(order["costs_of"]), order["architectures"])
    except FunctionError as error:
        found = {"reason": error.reason, "message": str(error)}
    sys.stdout.flush()
    os.write(descriptor, json.dumps(found).encode() + b"\n")
    os._exit(0)  # threads of users' code are not waited for


if __name__ == "__main__":
    _main(int(sys.argv[1]), json.loads(sys.argv[2]))
