"""The user's own functions: which ones a study names, from which packages, and how one is imported.

A study file names them as `package.module:function`. They are imported nowhere else; a worker does so only from the
packages that it was started with.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import sysconfig
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import nasd
from nasd.domain.architecture import Genes
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.errors import FunctionError

Function = Callable[..., Any]  # what it takes and returns is checked where it is called

_SECRETS = frozenset(
    {"NASD_ARTIFACTS_TOKEN", "NASD_ARTIFACTS_URL", "NASD_DATABASE_URL", "NASD_JOIN", "NASD_REDIS_URL", "PGPASSWORD"}
)
_STAGES: Mapping[str, frozenset[Stage]] = {  # key of the study file -> the stages that call its function
    "data.load": frozenset({Stage.TRAIN, Stage.RUN, Stage.EXPORT}),  # which calibrates int8 on them
    "model.build": frozenset({Stage.TRAIN, Stage.MEASURE, Stage.EXPORT}),
    "train.metric": frozenset({Stage.TRAIN}),
    "evaluation.run": frozenset({Stage.RUN}),
}


def functions_of(spec: StudySpec, stage: Stage | None = None) -> dict[str, str]:
    """The functions of the user that workers call for a study, by key of its file; of one `stage`, or of all it has."""
    named = {
        "data.load": spec.data.load,
        "model.build": spec.model.build,
        "train.metric": spec.train.metric,
        "evaluation.run": None if spec.evaluation is None else spec.evaluation.run,
    }
    stages = frozenset(spec.stages() if stage is None else (stage,))
    return {key: dotted for key, dotted in named.items() if dotted is not None and stages & _STAGES[key]}


def controller_functions_of(spec: StudySpec) -> dict[str, str]:
    """Those that the controller calls, by key of the study file."""
    costs = None if spec.evaluation is None else spec.evaluation.costs
    return {} if costs is None else {"evaluation.costs": costs}


def controller_packages_of(spec: StudySpec) -> tuple[str, ...]:
    """The top-level packages that those come from, sorted."""
    return tuple(sorted({package_of(dotted) for dotted in controller_functions_of(spec).values()}))


def packages_of(spec: StudySpec) -> tuple[str, ...]:
    """The top-level packages that a study's workers import functions from, sorted."""
    return tuple(sorted({package_of(dotted) for dotted in functions_of(spec).values()}))


def package_of(dotted: str) -> str:
    """`cam` of `cam.models:build`."""
    return dotted.partition(":")[0].partition(".")[0]


def plain_genes(genes: Genes) -> dict[str, Any]:
    """Genes as a dict that the user may change: as `pareto_front.architecture` has them, lists and no tuples."""
    return {name: _plain(value) for name, value in genes.items()}


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that runs users' code: databases' addresses and passwords are no business of it."""
    return {name: value for name, value in environment.items() if name not in _SECRETS}


def environment(*also: Path) -> dict[str, str]:
    """For a process of ours that runs users' code: no secrets, this package found wherever it is, `also` searched last.

    PYTHONPATH is made absolute, since such a process may begin in another folder.
    """
    root = Path(nasd.__file__).resolve().parent.parent  # also from a source tree
    given = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]  # noqa: PTH100
    return {**without_secrets(os.environ), "PYTHONPATH": os.pathsep.join([*given, *map(str, (root, *also))])}


def load_function(dotted: str, *, what: str, allow: Collection[str] | None) -> Function:
    """Import the function that `dotted` names.

    Args:
        dotted: `package.module:function`.
        what: the key of the study file that names it, for the sentence about a mistake.
        allow: top-level packages that may be imported; None: any, where the user's own command asks for it.

    Raises:
        FunctionError: with its reason.
    """
    if allow is not None:
        refuse_unless_allowed(dotted, what=what, allow=allow)
    shown = f'{what} = "{dotted}"'
    module_name, _, name = dotted.partition(":")
    function = getattr(_imported(module_name, shown), name, None)
    if function is None:
        raise FunctionError("function_missing", f"{shown}: {module_name} has no {name}. Correct the name")
    if not callable(function):
        kind = type(function).__name__
        raise FunctionError("function_missing", f"{shown}: {name} is a {kind}, not a function. Name a function")
    loaded: Function = function
    return loaded


def refuse_unless_allowed(dotted: str, *, what: str, allow: Collection[str]) -> None:
    """Refuse a function whose package is not among `allow`.

    Raises:
        FunctionError: `not_allowed`.
    """
    package = package_of(dotted)
    if package not in allow:
        remedy = f"start it with: nasd worker --allow {package}"
        raise FunctionError("not_allowed", f'{what} = "{dotted}": this worker may not import {package}; {remedy}')


def _imported(name: str, shown: str) -> object:
    try:
        importlib.invalidate_caches()  # a worker lives long; the module may be younger
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            remedy = "Install it, or start the program in the folder that holds it"
            raise FunctionError(
                "function_missing", f"{shown}: there is no module {error.name} here. {remedy}"
            ) from error
        raise _import_error(name, shown, error, f"Install {error.name} here, or do without it") from error
    except (Exception, SystemExit) as error:
        raise _import_error(name, shown, error, "Mend the module") from error


def _import_error(name: str, shown: str, error: BaseException, remedy: str) -> FunctionError:
    return FunctionError(
        "import_error", f"{shown}: importing {name} raised {type(error).__name__}: {error}{line_of(error)}. {remedy}"
    )


def line_of(error: BaseException) -> str:
    """` (models.py:12)`: the innermost line of the user's own files that raised `error`; empty where there is none."""
    paths = sysconfig.get_paths()
    others = (paths["stdlib"], paths["purelib"], paths["platlib"], str(Path(__file__).parent), "<")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def file_sha256(path: Path) -> str:
    """Of a file's bytes, computed once for each version of it that a process sees.

    Raises:
        OSError: it can't be read.
    """
    status = path.stat()
    return _sha256(path.resolve(), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _sha256(path: Path, size: int, changed_ns: int) -> str:  # noqa: ARG001 - they are part of the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
