"""The fault tests' evaluation: values that follow from the architecture alone, and gates to hold it at."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

HOLD, HELD = "hold-", "held-"


def landscape(architecture, context):
    """A few milliseconds; `cost` and `gain` pull in different directions and never tie."""
    _stand_at_the_gate(context)
    time.sleep(0.003)
    return _values(architecture)


def swift(architecture, context):
    """The same as fast as can be, so that even a busy machine takes several at once."""
    _stand_at_the_gate(context)
    return _values(architecture)


def deaf(architecture, context):
    """The same, but held without a step boundary: it can only be killed."""
    _stand_at_the_gate(context, hears=False)
    return _values(architecture)


def _values(architecture):
    digest = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode()).digest()
    roughness = int.from_bytes(digest[:6], "big") / 2**48
    size = sum(architecture["widths"]) / 1024
    return {"cost": 1.0 / (1.0 + size) + 0.3 * roughness, "gain": 10.0 * roughness - 3.0 * architecture["dropout"]}


def _stand_at_the_gate(context, *, hears=True):
    """While the file `hold-NUMBER` stands in the gates' folder, that trial's evaluation does not go on."""
    gates = os.environ.get("FAULT_GATES")
    if gates is None:
        return
    hold, n = Path(gates) / f"{HOLD}{context.trial}", 0
    while hold.exists():
        (Path(gates) / f"{HELD}{context.trial}-{os.getppid()}").touch()  # by which worker
        n += 1
        if hears:
            context.step(n)
        time.sleep(0.005)
    if n and hears:
        context.step(n + 1)  # whoever stood at the gate hears what it was told meanwhile
