"""Costs functions as users write them: a good one, and broken ones."""

from __future__ import annotations

import itertools
import os

_calls = itertools.count()


def good(architecture):
    return {"cost": 2.0 * architecture["x"]}


def raises(architecture):
    return {"cost": architecture["width"]}


def exits(architecture):
    raise SystemExit(3)


def ends_the_process(architecture):
    os._exit(3)


def not_a_dict(architecture):
    return 3.0


def not_a_number(architecture):
    return {"cost": "7"}


def not_finite(architecture):
    return {"cost": float("inf")}


def empty(architecture):
    return {}


def nobodys_name(architecture):
    return {"costs": 1.0}


def counted(architecture):
    return {"params": 1.0}


def half_a_parameter(architecture):
    return {"params": 1.5}


def now_and_then(architecture):
    return {"cost": 1.0} if architecture["x"] < 5 else {"cost": 1.0, "gain": 2.0}


def by_chance(architecture):
    return {"cost": float(next(_calls))}
