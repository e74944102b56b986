"""The screened strategy: what it knows, what it avoids, when it stops trusting its model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace, evaluate

from nasd.domain.architecture import Architecture
from nasd.domain.history import History
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Limit, violation
from nasd.strategies.base import Setting
from nasd.strategies.screened import Screened
from nasd.strategies.screening.features import Features
from nasd.strategies.screening.observed import Observed, best_and_latest
from nasd.strategies.screening.region import region_of
from nasd.strategies.screening.scale import scale_of
from nasd.strategies.screening.surrogate import Surrogate, bound_of

SPACE = ToySpace()


def setting(**changes) -> Setting:
    return Setting(**{"space": SPACE, "objectives": OBJECTIVES[:2], "costs": SPACE.counts, **changes})


def searched(at: Setting, n: int, *, seed: int = 0, finish=None) -> ToySearch:
    """A search by `screened` under this setting."""
    search = ToySearch("screened", seed=seed, objectives=at.objectives)
    search.fresh_strategy = lambda: Screened(at)
    search.strategy = Screened(at)
    return search.run(n, finish=finish or ToySearch.learn)


def screened_ones(search: ToySearch) -> list[int]:
    """Numbers of trials that are neither random nor baselines."""
    return [number for number, operator in enumerate(search.history.operators) if operator != "sample"]


def test_known_limit_is_never_broken_after_the_design():
    """What counts say is free: a network over the limit would be an evaluation thrown away."""
    limit = Limit(of="params", maximum=2000)
    search = searched(setting(limits=(limit,)), 60)
    params = [SPACE.counts(search.history.architectures[number])["params"] for number in screened_ones(search)]

    assert len(params) > 30
    assert max(params) <= 2000


def test_measured_limit_is_learned():
    """A limit on what only a device can tell: proposals over it grow rare although bigger networks err less."""
    limit = Limit(of="latency_ms", maximum=0.5)
    at = setting(limits=(limit,))

    def finish(search: ToySearch, number: TrialNumber) -> None:
        values = evaluate(SPACE, search.history.architectures[number])
        search.learn(number, values=values, violation=violation(at.limits, values))

    search = ToySearch("screened", objectives=OBJECTIVES[:2])
    search.objectives = (*OBJECTIVES[:2], OBJECTIVES[2])  # facts carry the limited quantity too
    search.history = History(OBJECTIVES[:2])
    search.strategy = Screened(at)
    search.run(80, finish=finish)
    broken = [search.history.violations[number] > 0 for number in screened_ones(search)[20:]]
    by_chance = np.mean(
        [evaluate(SPACE, SPACE.sample(np.random.default_rng(n)))["latency_ms"] > 0.5 for n in range(300)]
    )

    assert np.mean(broken) < 0.5 * by_chance


def test_what_fails_is_avoided():
    """Networks that never fit are infeasible without a value; nothing else says that there are more of them."""

    def finish(search: ToySearch, number: TrialNumber) -> None:
        if search.history.architectures[number]["kind"] == "conv":
            search.learn(number, values={}, state=State.INFEASIBLE)
        else:
            search.learn(number)

    search = searched(setting(), 80, finish=finish)
    kinds = Counter(search.history.architectures[number]["kind"] for number in screened_ones(search)[10:])

    assert kinds["dense"] > 3 * kinds["conv"]


def test_noise_switches_the_screen_off():
    """A model that can't rank what it has seen must not choose: children go unscreened, as in plain evolution."""

    def finish(search: ToySearch, number: TrialNumber) -> None:
        rng = np.random.default_rng([search.seed, number])
        search.learn(number, values={"val_error": float(rng.random()), "params": float(rng.integers(1, 10**6))})

    search = searched(setting(costs=lambda _: {}), 80, finish=finish)
    notes = [search.proposal(history=None).notes for _ in range(1)]
    strategy, counted = search.strategy, Counter[bool]()
    for seed in range(40):
        proposal = strategy.propose(search.history, 80, np.random.default_rng(seed))
        counted[proposal.notes.get("screened_from") == 1] += 1

    assert notes
    assert counted[True] > counted[False]


def test_trials_in_flight_are_counted_as_results_to_come():
    """Eight workers asking at once must not get eight copies of one idea."""
    search = searched(setting(), 40)
    before = search.proposal()
    search.history.add(before)
    after = search.strategy.propose(search.history, 40, np.random.default_rng([0, 40]))
    gains = [each.notes.get("gain") for each in (before, after)]

    assert before.architecture.key != after.architecture.key
    if None not in gains:
        assert gains[1] <= gains[0] * 1.0001


def test_declared_costs_are_asked_and_not_modelled():
    """What is known exactly needs no model, whatever the user calls it."""
    asked: list[str] = []

    def costs(architecture: Architecture) -> dict[str, float]:
        asked.append(architecture.key)
        return {"params": float(SPACE.counts(architecture)["params"])}

    at = setting(costs=costs)
    search = searched(at, 30)
    features, observed = Features(at), observed_of(search)
    surrogate = Surrogate(at, features, observed, search.history, thetas=None)

    assert asked
    assert features.known == ("params",)
    assert surrogate.scale("params") is None
    predicted = surrogate.predict(search.history.architectures[:5])[1]
    expected = [np.log(SPACE.counts(each)["params"]) for each in search.history.architectures[:5]]
    assert predicted.mean == pytest.approx(expected)
    assert predicted.spread is None


def observed_of(search: ToySearch) -> Observed:
    observed = Observed()
    for fact in search.history.facts:
        observed.learn(fact)
    return observed


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (setting(), None),
        (setting(limits=(Limit(of="val_error", maximum=0.3),)), 0.3),
        (setting(preference={"val_error": (None, 0.2)}), 0.2),
        (setting(limits=(Limit(of="val_error", maximum=0.3),), preference={"val_error": (0.0, 0.2)}), 0.2),
    ],
)
def test_the_users_bound_is_the_reference_point(at, expected):
    """A limit on an objective and a preference both say beyond what nothing counts; the tighter one holds."""
    assert bound_of(OBJECTIVES[0], at) == expected
    search = searched(setting(), 40)
    surrogate = Surrogate(at, Features(at), observed_of(search), search.history, thetas=None)
    points = surrogate.points(search.history.architectures)
    region = region_of(at, surrogate, observed_of(search), points, np.random.default_rng(0))
    scale = surrogate.scale("val_error")
    assert scale is not None
    bound = None if expected is None else scale.measure(np.array([scale.edge(expected)]))[0]
    if bound is not None and points[:, 0].min() < bound:
        assert region.reference[0] == pytest.approx(bound, abs=1e-6)


def test_maximised_share_is_modelled_by_what_it_lacks():
    """0.98 and 0.99 differ as much as 0.5 and 0.75: in what is left to one."""
    assert scale_of(np.array([-0.5, -0.99, np.nan]), is_log=False).kind == "complement"
    assert scale_of(np.array([0.5, 0.01])).kind == "log"
    assert scale_of(np.array([-3.0, 0.5])).kind == "linear"
    share = scale_of(np.array([-0.75]), is_log=False)
    assert share.edge(-0.75) == pytest.approx(np.log(0.25))
    assert share.measure(np.array([np.log(0.25)])) == pytest.approx(-0.75)
    assert scale_of(np.array([0.2, 0.5]), is_log=False).is_bent
    assert not scale_of(np.array([1e-4, 0.5, 0.5, 0.5]), is_log=False).is_bent  # decades: by their logarithm
    assert scale_of(np.array([-1000.0, -10.0])).edge(-1000.0) < scale_of(np.array([-1000.0])).edge(-10.0)


def test_counts_of_options_do_not_depend_on_places():
    """Two networks of the same blocks in another order have the same counts and other places."""
    one, other = (SPACE.canonical({"kind": "dense", "width": widths, "skip": False}) for widths in ([8, 64], [64, 8]))
    rows = Features(setting()).rows([one, other])

    assert (rows.options[0] == rows.options[1]).all()
    assert (rows.places[0] != rows.places[1]).any()


def test_large_histories_are_thinned_to_the_best_and_the_latest():
    """A model of thousands of rows would take minutes; far from the front and long ago matters least."""
    ranks = [5] * 500 + [0] * 100 + [7] * 400
    chosen = best_and_latest(ranks, 300)

    assert len(chosen) == len(set(chosen.tolist())) == 300
    assert set(range(500, 600)) <= set(chosen.tolist())
    assert set(range(900, 1000)) <= set(chosen.tolist())
    assert best_and_latest([3, 1], 300).tolist() == [0, 1]
