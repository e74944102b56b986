"""The evaluating child: carries out one evaluation at a time for the worker that started it, and dies with it.

Started as `python -P -m workers.child WIRE CONTROL PARENT WARM LOCKDIR SCRATCH ALLOW` (SCRATCH may be empty, ALLOW is
a list with commas); its standard input is a pipe that ends with its parent. It never sees a lease's token, a database's
address or a password.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

from nasd.domain.measurement import Measurement, Outcome, OutcomeKind
from workers.assignment import Assignment, Json, outcome_to_json
from workers.control import Control
from workers.hooks import Hooks, Stopped, StoppedEarly
from workers.hostlock import HostLock
from workers.hygiene import Hygiene, fresh_torch, storable
from workers.recipe import MOST_KEPT, Recipe
from workers.stages import evaluate_of, needs_torch
from workers.stages.limits import OverLimit
from workers.verdict import of_exception
from workers.wire import Wire

STOPPED: Json = {"kind": "stopped"}  # the answer of an evaluation that was told to stop and report nothing
_PR_SET_PDEATHSIG = 1
_MESSAGE_CHARACTERS, _TRACEBACK_CHARACTERS = 2_000, 32_000
_LIBC = ctypes.CDLL(None)


class Child:
    """State between evaluations: recipes by study, torch once imported, the host's lock."""

    def __init__(
        self, control: Control, lock: HostLock, *, allow: frozenset[str] = frozenset(), scratch: Path | None = None
    ) -> None:
        self._control, self._lock, self._allow, self._scratch = control, lock, allow, scratch
        self._hygiene = Hygiene()
        self._ran_users_code = self._used_torch = False
        self._recipes: dict[int, Json | Recipe] = {}
        self._warming: threading.Thread | None = None

    def warm(self) -> None:
        """Import torch beside the wait for the first evaluation."""
        self._warming = threading.Thread(target=fresh_torch, name="warm", daemon=True)
        self._warming.start()

    def keep_recipe(self, study: int, value: Json) -> None:
        """Remember a study's recipe, as it is now."""
        self._recipes.pop(study, None)  # the latest last: the parent counts on those
        while len(self._recipes) >= MOST_KEPT:
            del self._recipes[next(iter(self._recipes))]
        self._recipes[study] = value

    def answer(self, value: Json) -> Json:
        """Carry out one evaluation; whatever it raises becomes its outcome."""
        assignment = Assignment.from_json(value)
        outbox = None if assignment.outbox is None else Path(assignment.outbox)
        hooks = Hooks(self._control, self._lock, allow=self._allow, scratch=self._scratch, outbox=outbox)
        began = time.perf_counter()
        try:
            outcome = self._evaluate(assignment, hooks)
        except Stopped:
            return STOPPED
        except StoppedEarly as stop:
            outcome = Outcome(OutcomeKind.PRUNED, stop.measurements, reason="stopped_early")
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything, SystemExit included
            outcome = self._of_error(error)
        finally:
            self._hygiene.leave_if_forked()
            hooks.leave()
        answer = outcome_to_json(outcome)
        answer["seconds"] = {"evaluate": time.perf_counter() - began, "paused": self._control.paused_s}
        if self._used_torch:
            answer["torch"] = True
        if hooks.produced and outcome.kind is OutcomeKind.COMPLETED:
            answer["produced"] = {name: path.name for name, path in hooks.produced.items()}
        return answer

    def is_worn(self) -> bool:
        """Whether users' code left something behind, so that the next evaluation needs another process."""
        ran_users_code, self._ran_users_code = self._ran_users_code, False
        return ran_users_code and self._hygiene.is_worn()

    def _evaluate(self, assignment: Assignment, hooks: Hooks) -> Outcome:
        recipe = self._recipe(assignment.study_id)
        self._ran_users_code = recipe.runs_users_code(assignment.stage, assignment.device_kind)
        if self._ran_users_code:
            recipe.refuse_unless(self._allow)
        self._used_torch = needs_torch(assignment.stage, recipe.spec, assignment.device_kind)
        if self._used_torch:
            if self._warming is not None:
                self._warming.join()
                self._warming = None
            fresh_torch()
        evaluate = evaluate_of(assignment.stage)
        self._control.mark_running()
        measured: tuple[Measurement, ...] = evaluate(assignment, recipe.spec, recipe.data, hooks)
        return Outcome(OutcomeKind.COMPLETED, measured)

    def _recipe(self, study: int) -> Recipe:
        recipe = self._recipes[study]
        if not isinstance(recipe, Recipe):
            recipe = Recipe.read(recipe)
            self._recipes[study] = recipe
        return recipe

    def _of_error(self, error: BaseException) -> Outcome:
        verdict = of_exception(error, runs_users_code=self._ran_users_code)
        message = verdict.message
        if len(message) > _MESSAGE_CHARACTERS:
            message = f"{message[:_MESSAGE_CHARACTERS]} ..."
        return Outcome(
            verdict.kind,
            error.measurements if isinstance(error, OverLimit) else (),
            reason=verdict.reason,
            message=storable(message, limit=len(message)),
            violation=verdict.violation,
            log=storable("".join(traceback.format_exception(error)), limit=_TRACEBACK_CHARACTERS),
        )


def _serve(wire: Wire, child: Child) -> None:
    while (message := wire.receive()) is not None:
        if "recipe" in message:
            child.keep_recipe(message["study"], message["recipe"])
            continue
        answer = child.answer(message)
        _flush()
        wire.send([{**answer, "worn": True} if child.is_worn() else answer])


def _flush() -> None:
    """What was printed must be in the pipe before the answer is."""
    with contextlib.suppress(Exception):  # a user's function may have closed or replaced them
        sys.stdout.flush()
        sys.stderr.flush()
        _LIBC.fflush(None)


def _die_with(parent: int) -> None:
    """On Linux the kernel kills this process with its parent; elsewhere the end of the pipe on standard input does."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")  # the kernel shall take this process, not the worker
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # users' code that reads its input finds none, and can't take the pipe from the watcher
    os.close(nothing)
    threading.Thread(target=_watch_parent, args=(pipe,), name="watch", daemon=True).start()


def _watch_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Serve until the other end of the wire is closed."""
    wire_fd, control_fd, parent, warm = (int(argument) for argument in arguments[:4])
    _die_with(parent)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.append(str(Path.cwd()))  # last: a file there called queue.py must not take a library's place
    lock, scratch, allow = arguments[4:7]
    child = Child(
        Control(control_fd),
        HostLock(Path(lock)),
        allow=frozenset(filter(None, allow.split(","))),
        scratch=Path(scratch) if scratch else None,
    )
    os.close(control_fd)
    if warm:
        child.warm()
    wire = Wire(socket.socket(fileno=wire_fd))
    wire.send([{"ready": os.getpid()}])
    with contextlib.suppress(BrokenPipeError):
        _serve(wire, child)


if __name__ == "__main__":
    main(sys.argv[1:])
