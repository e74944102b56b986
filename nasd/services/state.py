"""What the owner says of itself in home/state.json, for clients that wait and for `nasd services status`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from nasd.services.home import Home


class Phase(StrEnum):
    """How far the owner is."""

    STARTING = "starting"  # also while a server that died is being started again
    READY = "ready"
    FAILED = "failed"  # `error` says why; the owner is leaving


@dataclass(frozen=True, slots=True)
class OwnerState:
    """One state of the owner."""

    phase: Phase
    owner_pid: int
    postgres_pid: int | None = None
    valkey_pid: int | None = None
    terminator_pid: int | None = None  # set while it listens for other machines
    error: str | None = None


def read_state(home: Home) -> OwnerState | None:
    """The last state that an owner wrote; None where none is there. An owner that was killed leaves its last one."""
    try:
        fields = json.loads((home / "state.json").read_text())
    except FileNotFoundError:
        return None
    state = OwnerState(**fields)
    return replace(state, phase=Phase(state.phase))


def write_state(home: Home, state: OwnerState) -> None:
    """Replace the state as a whole, so that no reader sees half of it."""
    temporary = home / f"state.json.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(state)))
    temporary.replace(home / "state.json")


def forget_state(home: Home) -> None:
    """Remove the state: from here on nobody may take the servers for ready."""
    (home / "state.json").unlink(missing_ok=True)
