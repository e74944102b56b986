"""The process that prepares data: `python -m nasd.data.prepare`, started by `nasd.data.preparing` and by nobody else.

Reads one line of JSON, answers with one, and ends when its parent does. What users' code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasd.data import builtin, cache, files, own, splitting
from nasd.data.raw import BadData, Raw
from nasd.data.request import Request
from nasd.domain.data import DataFacts, Task
from nasd.domain.study import DataSpec
from nasd.errors import FunctionError, Unavailable, UserError


def prepare(request: Request, *, allow: Collection[str] | None) -> DataFacts:
    """Put all three splits into the cache.

    Raises:
        UserError: with its subclasses, as `nasd.data.preparing.prepared`.
    """
    try:
        return _prepared(request, allow)
    except BadData as error:
        raise UserError(f"{request.shown}: {error}") from error
    except MemoryError as error:
        raise Unavailable(
            f"{request.shown}: preparing the data needs more memory than there is. Use fewer or smaller samples"
        ) from error
    except OSError as error:
        raise Unavailable(f"{request.shown}: {error.strerror or error}: {error.filename or request.folder}") from error


def _prepared(request: Request, allow: Collection[str] | None) -> DataFacts:
    source = _source(request)
    if source is None:  # a function may return something else each time
        return splitting.write(request, own.load(request, allow=allow))
    key = request.key(source)
    with cache.preparing(request.folder, key):
        facts = cache.read_facts(request.folder, key)
        if facts is None or not splitting.is_complete(request.folder, facts):
            facts = splitting.write(request, _raw(request))
            cache.write_facts(request.folder, key, facts)
    return facts


def _source(request: Request) -> str | None:
    if request.spec.use is not None:
        return request.built_in_source()
    return None if request.spec.files is None else files.fingerprint(request.spec.files)


def _raw(request: Request) -> Raw:
    if request.spec.use is not None:
        return builtin.LOADERS[request.spec.use]()
    assert request.spec.files is not None
    return files.read(request.spec.files)


def _answer(order: dict[str, Any]) -> dict[str, object]:
    sys.path[:] = order["path"]
    request = Request(DataSpec(**order["spec"]), Task(order["task"]), Path(order["folder"]))
    try:
        return {"facts": asdict(prepare(request, allow=order["allow"]))}
    except FunctionError as error:
        return {"error": "FunctionError", "reason": error.reason, "message": str(error)}
    except UserError as error:
        kind = "Unavailable" if isinstance(error, Unavailable) else "UserError"
        return {"error": kind, "message": str(error)}


def _end_with(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os._exit(1)


def main() -> None:
    """Answer the one order; a mistake of our own goes to standard error and gives no answer."""
    order_pipe, answer_pipe, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # users' code that reads its input finds none
    os.dup2(2, 1)
    line = bytearray()
    while not line.endswith(b"\n"):  # byte by byte, so that nothing of the pipe is held in a buffer
        if not (read := os.read(order_pipe, 1)):
            return
        line += read
    threading.Thread(target=_end_with, args=(order_pipe,), name="watch", daemon=True).start()
    try:
        answer = json.dumps(_answer(json.loads(line))).encode() + b"\n"
    except BaseException:  # noqa: BLE001 - the outermost seam
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    while answer:
        answer = answer[os.write(answer_pipe, answer) :]
    os._exit(0)  # threads of users' code are not waited for


if __name__ == "__main__":
    main()
