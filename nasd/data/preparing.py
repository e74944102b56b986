"""Has data prepared by a process of its own, which alone holds a whole data set, test rows included.

It keeps this process free of the test split, of the packages that make a data set (matplotlib, scipy), of their global
random state, and of whatever a user's `data.load` does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from nasd.data.request import Request
from nasd.domain.data import DataFacts
from nasd.errors import FunctionError, Unavailable, UserError
from nasd.usercode import environment


def prepared(request: Request, *, allow: Collection[str] | None) -> DataFacts:
    """Load, check and cut a data set, and put its splits into the cache.

    Args:
        request: what to prepare.
        allow: packages that `data.load` may come from; None: any.

    Raises:
        UserError: the data can't be used as they are.
        FunctionError: `data.load` can't be imported, or may not be.
        Unavailable: a package, the folder, memory or disk is missing.
    """
    order = {
        "spec": asdict(request.spec),
        "task": request.task,
        "folder": str(request.folder),
        "allow": None if allow is None else sorted(allow),
        "path": sys.path,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "nasd.data.prepare"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment(), "MPLBACKEND": "agg"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()  # it stays open: its end tells that process that we are gone
            answer = process.stdout.readline()  # not to its end, which processes that users' code left may hold open
        except BrokenPipeError:
            answer = b""
        except BaseException:
            process.kill()
            raise
        status = process.wait()
    return _facts(request, answer, status=status)


def _facts(request: Request, answer: bytes, *, status: int) -> DataFacts:
    if not answer:
        ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        hint = "Most likely memory ran out" if status == -signal.SIGKILL else "What it said stands above"
        raise Unavailable(f"{request.shown}: preparing the data ended with {ended} before it was done. {hint}")
    read: dict[str, Any] = json.loads(answer)
    if "facts" in read:
        return DataFacts.from_json(read["facts"])
    message = str(read["message"])
    if read["error"] == "FunctionError":
        raise FunctionError(str(read["reason"]), message)
    raise Unavailable(message) if read["error"] == "Unavailable" else UserError(message)
