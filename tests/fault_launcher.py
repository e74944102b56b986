"""Starts controllers and workers by forking a process that has imported everything.

A start costs 50 ms instead of two seconds, so that hundreds of them can be killed in a test run. What is forked is
the program: `nasd.cli.main.run` with the arguments and the environment of a command line, in a session of its own,
with nothing that the others have. Requests come as JSON lines on standard input, answers leave on standard output.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import sys

MODULES = (
    "nasd.app.controller",
    "nasd.app.endpoints",
    "nasd.app.parent",
    "nasd.app.studies",
    "nasd.cli.controller",
    "nasd.cli.main",
    "nasd.cli.worker",
    "nasd.config",
    "nasd.spaces.mlp",
    "nasd.store.leases",
    "nasd.strategies.nsga2",
    "nasd.telemetry.logs",
    "workers.devices",
    "workers.serving",
)


def main() -> None:
    """Serve until standard input ends; each forked process leaves through here too."""
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(reading, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    answer({"ready": True})
    while True:
        for key, _ in selector.select():
            if key.fd == reading:
                os.read(reading, 4096)
                tell_ended()
                continue
            line = sys.stdin.readline()
            if not line:
                return
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                selector.close()
                signal.set_wakeup_fd(-1)
                os.close(reading)
                os.close(writing)
                become(request)
            answer({"started": pid, "request": request["request"]})


def answer(value: dict[str, object]) -> None:
    os.write(1, json.dumps(value).encode() + b"\n")


def tell_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        answer({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def become(request: dict[str, object]) -> None:
    """The program, in this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.closerange(nothing, max(nothing, log) + 1)
    os.environ.clear()
    os.environ.update(request["environment"], NASD_PARENT=str(os.getppid()))  # as the children of `nasd run`
    os.chdir(str(request["folder"]))
    from nasd.cli.main import run

    sys.exit(run(request["arguments"]))


if __name__ == "__main__":
    main()
