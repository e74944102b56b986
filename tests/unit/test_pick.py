"""The member that is named is the best under what was asked, and what noise can't tell apart is said to be level."""

from __future__ import annotations

from math import log, sqrt

import pytest

from nasd.app.candidates import Bound, candidate_of, parse_bound
from nasd.app.pick import KNEE, Choice, Scale, pick
from nasd.errors import UserError
from nasd.store.view_rows import ObjectiveColumn

ERROR = ObjectiveColumn("val_error", "fraction", is_maximised=False, on=())
LATENCY = ObjectiveColumn("latency_ms", "ms", is_maximised=False, on=("pi5", "local"))
PARAMS = ObjectiveColumn("params", "count", is_maximised=False, on=())
SCORE = ObjectiveColumn("score", "points", is_maximised=True, on=())
OBJECTIVES = (ERROR, LATENCY, PARAMS)


def row(trial, error, latency, params, *, error_spread=0.005, latency_spread=0.1, **more):
    objectives = {
        "val_error": {"value": error, "unit": "fraction", "spread": error_spread, "n": 400},
        "latency_ms": {"value": 1000.0, "unit": "ms", "spread": 0.0, "n": 1},  # of this machine: nobody asked for it
        "params": {"value": params, "unit": "count", "spread": None, "n": 1},
        **{name: {"value": value, "unit": "points", "spread": 0.5, "n": 9} for name, value in more.items()},
    }
    if latency is not None:
        objectives["latency_ms@pi5"] = {"value": latency, "unit": "ms", "spread": latency_spread, "n": 80}
    return {"trial": trial, "baseline": None, "architecture": {"layers": trial}, "objectives": objectives}


FRONT = (
    row(1, 0.020, 40.0, 900_000),
    row(2, 0.024, 19.0, 500_000),
    row(3, 0.030, 18.0, 90_000),
    row(4, 0.090, 4.0, 20_000),
    row(5, 0.300, 1.0, 1_000),
)


def chosen(*texts: str, prefer: str | None = None, rows=FRONT, objectives=OBJECTIVES) -> Choice:
    bounds = [parse_bound(text, objectives) for text in texts]
    return pick([candidate_of(each, "pi5") for each in rows], objectives, bounds=bounds, prefer=prefer)


def test_the_best_that_keeps_the_limit_is_named_and_what_is_level_with_it():
    """0.024 and 0.030 with standard errors of 0.005 are one result; 0.090 is another."""
    choice = chosen("latency_ms=20")

    assert (choice.candidate.trial, choice.by, choice.n_members) == (2, "val_error", 5)
    assert [rival.candidate.trial for rival in choice.level] == [3]
    assert choice.level[0].behind == pytest.approx(0.006)
    assert choice.level[0].noise == pytest.approx(2 * sqrt(2) * 0.005)
    assert [rival.candidate.trial for rival in choice.rivals if not rival.is_level] == [4, 5]
    assert choice.cheaper is not None
    assert choice.cheaper.trial == 3


def test_what_was_measured_on_another_kind_is_not_read():
    """A limit on pi5 is about pi5; this machine's 1000 ms would refuse every member."""
    assert chosen("latency_ms=20").candidate.values["latency_ms"].value == 19.0
    local = pick([candidate_of(each, "local") for each in FRONT], OBJECTIVES, bounds=[Bound("latency_ms", 2000.0)])
    assert local.candidate.values["latency_ms"].value == 1000.0


def test_preference_goes_before_the_first_objective():
    """Who wants it small and fast enough says so."""
    choice = chosen("val_error=0.1", prefer="latency_ms")

    assert (choice.candidate.trial, choice.by) == (4, "latency_ms")
    assert [rival.is_level for rival in choice.rivals] == [False] * 3


def test_exact_values_have_no_noise_and_equal_ones_are_level():
    """A count that differs by one differs; of two that are the same the one nearer to the ideal comes first."""
    rows = (row(1, 0.05, 9.0, 1000), row(2, 0.04, 9.5, 1000), row(3, 0.03, 8.0, 1001))
    choice = chosen("latency_ms=20", prefer="params", rows=rows)

    assert choice.candidate.trial == 2
    assert [(rival.candidate.trial, rival.is_level, rival.noise) for rival in choice.rivals] == [
        (1, True, 0.0),
        (3, False, 0.0),
    ]


def test_a_tie_in_everything_goes_to_the_earlier_trial():
    """The same question must have the same answer tomorrow."""
    rows = (row(8, 0.05, 9.0, 1000), row(3, 0.05, 9.0, 1000))
    assert chosen(rows=rows).candidate.trial == chosen("latency_ms=10", rows=rows[::-1]).candidate.trial == 3


def test_without_a_spread_nothing_is_said_to_be_level():
    """Silence of the data is no evidence of a tie."""
    rows = (row(1, 0.050, 9.0, 1000, error_spread=None), row(2, 0.051, 8.0, 1000))
    (rival,) = chosen("latency_ms=20", rows=rows).rivals

    assert (rival.noise, rival.is_level) == (None, False)


def test_without_a_wish_the_knee_is_named():
    """The nearest to the best of everything, on the front's scale: logarithms for what spans decades."""

    def far(error, latency, params):
        places = (
            (error - 0.02) / 0.28,
            (log(latency) - log(1.0)) / (log(40.0) - log(1.0)),
            (log(params) - log(1000)) / (log(900_000) - log(1000)),
        )
        return sqrt(sum(place**2 for place in places))

    expected = {
        each["trial"]: far(*(each["objectives"][key]["value"] for key in ("val_error", "latency_ms@pi5", "params")))
        for each in FRONT
    }
    choice = chosen()

    assert (choice.by, choice.candidate.trial) == (KNEE, min(expected, key=expected.get))
    assert choice.score == pytest.approx(min(expected.values()))
    assert [rival.candidate.trial for rival in choice.rivals] == sorted(expected, key=expected.get)[1:]


def test_noise_of_the_knee_is_that_of_a_resampled_front():
    """First-order propagation against drawing the values again."""
    import numpy as np

    members = [candidate_of(each, "pi5") for each in FRONT]
    scale = Scale.of(members, OBJECTIVES)
    rng, third = np.random.default_rng(3), members[3]
    draws = [
        scale.distance(candidate_of(row(4, 0.09 + rng.normal() * 0.005 * 2, 4.0 + rng.normal() * 0.1, 20_000), "pi5"))
        for _ in range(4000)
    ]
    assert scale.distance_noise(third) == pytest.approx(np.std(draws), rel=0.05)


def test_a_maximised_objective_is_bound_from_below():
    """`score=5` asks for at least 5; `<=` says the other side where somebody means it."""
    objectives = (SCORE, LATENCY)
    rows = (row(1, 0.1, 9.0, 1, score=9.0), row(2, 0.1, 5.0, 1, score=6.0), row(3, 0.1, 1.0, 1, score=2.0))

    assert parse_bound("score=5", objectives) == Bound("score", 5.0, is_minimum=True)
    assert chosen("score=5", rows=rows, objectives=objectives).candidate.trial == 2
    assert chosen("latency_ms=6", rows=rows, objectives=objectives).candidate.trial == 2
    assert chosen("score<=5", prefer="score", rows=rows, objectives=objectives).candidate.trial == 3


def test_a_limit_on_what_is_no_objective_is_kept_too():
    """Peak memory may decide without having been searched for."""
    rows = (row(1, 0.02, 9.0, 1, score=9.0), row(2, 0.05, 5.0, 1, score=2.0), row(3, 0.04, 5.0, 2))
    choice = chosen("score<=5", rows=rows)

    assert (choice.candidate.trial, choice.by, choice.unknown) == (2, "val_error", (3,))


def test_a_limit_that_is_kept_by_less_than_the_spread_is_doubtful():
    """19.95 ± 0.1 under a limit of 20 may be 20.1 tomorrow."""
    rows = (row(1, 0.02, 19.95, 1), row(2, 0.05, 5.0, 1))

    assert [str(bound) for bound in chosen("latency_ms=20", rows=rows).doubtful] == ["latency_ms <= 20"]
    assert chosen("latency_ms=21", rows=rows).doubtful == ()


def test_impossible_limits_are_answered_with_the_nearest_member():
    """How much must be given up? The sentence says it, of the member that misses by least in all."""
    asked = r"no member keeps latency_ms <= 2 and val_error <= 0\.05"
    offers = r"the nearest is trial 4: latency_ms 4, val_error 0\.09, params 20,000"
    with pytest.raises(UserError, match=f"{asked}; {offers}"):
        chosen("latency_ms=2", "val_error=0.05")


def test_an_empty_front_and_unknown_names_are_refused():
    """Each sentence says what is known."""
    with pytest.raises(UserError, match="no members yet"):
        chosen(rows=())
    with pytest.raises(
        UserError, match='--limit "energy_mj": nothing is known of it here; known: latency_ms, params, val_error'
    ):
        chosen("energy_mj=3")
    with pytest.raises(
        UserError, match='--prefer "flops": is no objective of this front; known: val_error, latency_ms, params'
    ):
        chosen(prefer="flops")


@pytest.mark.parametrize(
    "text", ["latency_ms", "=20", "latency_ms=fast", "latency_ms=nan", "latency_ms<=", "latency_ms=inf"]
)
def test_a_limit_that_is_none_is_refused(text):
    """An unreadable limit must never count as kept."""
    with pytest.raises(UserError, match="write NAME=NUMBER"):
        parse_bound(text, OBJECTIVES)
