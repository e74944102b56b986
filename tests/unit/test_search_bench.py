"""The search bench judges fairly: statistics, boxes, what is told and what is scored, and records that accumulate."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, isnan, nan

import numpy as np
import pytest
from search_bench_table import BOUND, recorded, small_problem  # first: it leads to the bench's modules
from search_problems import Scoring, box_of, volume, volumes
from search_records import append, done, read, results
from search_report import report
from search_statistics import Interval, arrival, interval, median, p_above, verdict

from nasd.simulator.comparison import holm

PROBLEM = small_problem()


def test_holm_equals_a_hand_worked_example():
    """0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1 raised to the one before it."""
    assert pytest.approx(holm([0.01, 0.04, 0.03, 0.005])) == [0.03, 0.06, 0.06, 0.02]


def test_holm_leaves_out_what_was_not_tested():
    adjusted = holm([nan, 0.02, 0.5])

    assert isnan(adjusted[0])
    assert pytest.approx(adjusted[1:]) == [0.04, 0.5]


def test_paired_test_equals_students_by_hand():
    """Differences 0.01, 0.02, 0.03 above 0: mean 0.02, sd 0.01, t = 2 * sqrt(3) with two degrees of freedom."""
    assert pytest.approx(0.03709, abs=1e-5) == p_above([0.01, 0.02, 0.03], 0.0)
    assert pytest.approx(0.5) == p_above([0.01, 0.02, 0.03], 0.02)


def test_a_difference_without_spread_is_decided():
    assert p_above([0.02, 0.02], 0.01) == 0.0
    assert p_above([0.0, 0.0], 0.0) == 1.0
    assert isnan(p_above([0.02], 0.0))


def test_interval_is_students():
    found = interval([1.0, 2.0, 3.0])

    assert found.mean == 2.0
    assert pytest.approx(2 - 4.30265 / 3**0.5, abs=1e-4) == found.low


@pytest.mark.parametrize(
    ("mean", "p_ahead", "p_not_behind", "says"),
    [
        (0.02, 0.01, 0.001, "ahead by >= 0.01"),
        (0.008, 0.01, 0.001, "not behind by more than 0.01"),
        (0.02, 0.20, 0.04, "not behind by more than 0.01"),
        (-0.02, 1.0, 0.9, "behind"),
        (0.02, 0.3, 0.2, "not shown"),
    ],
)
def test_verdicts_say_what_was_shown(mean, p_ahead, p_not_behind, says):
    difference = Interval(mean, mean - 0.01, mean + 0.01, 50)

    assert says == verdict(difference, p_ahead=p_ahead, p_not_behind=p_not_behind)


def test_a_run_that_never_arrives_counts_as_infinite():
    assert arrival([0.5, 0.94, 0.95, 0.99], 0.95) == 3
    assert arrival([0.5, 0.6], 0.95) == inf
    assert median([3, inf, 5]) == 5
    assert median([3, inf, inf]) == inf
    assert median([4, 6]) == 5
    assert median([4, inf]) == inf


def test_growing_hypervolumes_equal_those_from_scratch():
    """The curve is grown row by row; dominated rows, equal rows and rows outside the box are all there."""
    rows = np.random.default_rng(0).random((60, 3)) * 1.3
    rows[10] = rows[3]

    assert [volume(rows[: n + 1]) for n in range(len(rows))] == pytest.approx(volumes(rows))


def test_what_is_of_no_use_counts_nothing_and_the_true_front_counts_whole():
    rows = np.array([[0.1, 100.0], [0.2, 10.0], [0.15, 90.0], [0.5, 1.0]])
    box = box_of(rows, bound=0.3, is_log=(False, True))

    assert box.volume(rows[3:]) == 0.0
    assert list(box.low) == [0.1, 10.0]
    assert list(box.high) == [0.3, 100.0]
    assert pytest.approx(box.true) == box.volume(rows)


def test_costs_are_scored_on_their_logarithm():
    box = Scoring(low=np.array([0.0, 1.0]), high=np.array([1.0, 100.0]), is_log=np.array([False, True]))

    assert box.normalise([[0.5, 10.0]]).tolist() == [[0.5, 0.5]]


def test_networks_that_are_the_same_share_one_key():
    keys = {PROBLEM.space.canonical({"wide": 0, "kind": kind, "depth": 8}).key for kind in ("even", "odd")}

    assert len(keys) == 1
    assert PROBLEM.space.size == 28  # 32 rows, 4 of them twins


def test_one_run_is_told_and_the_mean_of_the_others_scored():
    network = PROBLEM.space.canonical({"wide": 2, "kind": "odd", "depth": 16})
    rows = recorded()
    at = next(i for i, row in enumerate(zip(*rows.columns.values(), strict=True)) if row == (2, "odd", 16))
    runs = rows.values["val_error"][at]

    for seed in range(4):
        assert runs[seed % 3] == PROBLEM.told(network, seed)["val_error"]
        assert np.delete(runs, seed % 3).mean() == pytest.approx(PROBLEM.scored(network, seed)[0])


def test_strategies_know_counts_but_neither_the_bound_nor_the_box():
    network = PROBLEM.space.canonical({"wide": 1, "kind": "odd", "depth": 16})

    assert PROBLEM.limits == ()
    assert {"params"} == set(PROBLEM.costs(network))
    assert [limit.max for limit in small_problem(is_limited=True).limits] == [BOUND]


def line(*, strategy="a", seed=0, mode="curve", version="a-1", hv=(0.2, 0.4), trials=2, true=0.5, digest="d"):
    return {
        "table": "small",
        "strategy": strategy,
        "seed": seed,
        "mode": mode,
        "version": version,
        "trials": trials,
        "digest": digest,
        "box": 0,
        "true": true,
        "hv": list(hv),
        "utilisation": 1.0,
        "ask_ms": {"median": 1.0, "p99": 2.0, "max": 3.0},
    }


def test_a_line_cut_short_by_a_kill_costs_one_run(tmp_path):
    path = tmp_path / "results.jsonl"
    append(path, line(seed=0))
    with path.open("a") as file:
        file.write(json.dumps(line(seed=1))[:40])
    append(path, line(seed=2))

    assert [each["seed"] for each in read(path)] == [0, 2]


def test_runs_of_an_older_version_of_fewer_trials_or_in_other_boxes_are_made_again():
    lines = [line(seed=0), line(seed=1, version="a-0"), line(seed=2, trials=1), line(seed=3, mode="utilisation")]
    lines.append(line(seed=4, digest="other"))

    there = done(lines, {"a": "a-1"}, {"small": "d"}, trials=2)

    assert {("small", "a", 0, "curve"), ("small", "a", 3, "utilisation")} == there


def test_a_digest_changes_with_the_boxes():
    assert PROBLEM.digest == small_problem().digest
    assert PROBLEM.digest != replace(PROBLEM, scoring=lambda seed: PROBLEM.scoring(seed + 1)).digest


def test_results_are_relative_to_the_best_front_known_and_of_one_version():
    lines = [line(seed=0, version="a-0"), line(seed=1), line(strategy="b", seed=1, version="b-1", hv=(0.3, 0.8))]

    found = results(lines, trials=2)

    assert found.n_stale == 1
    assert found.at("small", "a", 2) == {1: 0.5}  # 0.4 of the 0.8 that b found, more than the 0.5 known before
    assert found.at("small", "b", 2) == {1: 1.0}


def test_report_names_every_rival_and_says_a_verdict():
    gains = [0.10, 0.12, 0.11, 0.13]
    lines = [line(strategy="b", seed=seed, version="b-1", hv=(0.3,) * 100, trials=100) for seed in range(4)]
    lines += [line(seed=seed, hv=(0.3 + gain,) * 100, trials=100) for seed, gain in enumerate(gains)]

    text = report(results(lines, trials=100), champion="a", trials=100)

    assert "| b | 4 | +0.2300 [+0.1889, +0.2711] | 0.0002 | 0.0002 | ahead by >= 0.01 |" in text
    assert "| b | 1 of 1 | 0 of 1 | 0 of 1 | +0.2300 |" in text


def test_a_run_too_short_is_left_out_and_one_that_used_up_its_space_stays_where_it_is():
    """GP's runs are short: it is compared where it has got to, and never counted as late beyond."""
    lines = [line(seed=0, hv=(0.2, 0.4), trials=2), line(seed=1, hv=(0.2, 0.5), trials=9)]

    found = results(lines, trials=5)

    assert found.at("small", "a", 2) == {0: 0.8, 1: 1.0}
    assert found.at("small", "a", 5) == {1: 1.0}
    assert len(found.whole("small", "a", 5)) == 1


def test_the_longer_run_of_two_counts():
    lines = [line(seed=0, hv=(0.2, 0.4, 0.5), trials=3), line(seed=0, hv=(0.2, 0.4), trials=2)]

    assert results(lines, trials=3).at("small", "a", 3) == {0: 1.0}
