"""What makes this NSGA-II steady-state: every result counts on arrival, and only what is worst leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.history import Fact
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.strategies.population import Population

GOLDEN = Path(__file__).parents[1] / "golden" / "nsga2-2.txt"
PLAIN = tuple(Objective(name=name, unit="", source=Source.TRAINED) for name in "abc")


def fact(number: int, *values: float, state=State.COMPLETED, violation=0.0, kind="result") -> Fact:
    named = {each.name: value for each, value in zip(PLAIN, values, strict=False)}
    return Fact(LearnedSeq(number + 1), kind, TrialNumber(number), state, named, violation)


def population(*facts: Fact, capacity: int = 4, n_objectives: int = 2) -> Population:
    people = Population(PLAIN[:n_objectives], capacity=capacity)
    for each in facts:
        people.learn(each)
    return people


LINE = [fact(number, number, 10 - number) for number in (0, 2, 5, 10)]  # non-dominated, (2, 8) the most crowded


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_survivors_are_those_of_pymoos_own_survival(n_objectives, seed):
    """One in, one out must be what pymoo's RankAndCrowding does with the same rows (no ties, so nothing is random)."""
    losses = np.random.default_rng(seed).random((9, n_objectives))
    people = population(*(fact(i, *row) for i, row in enumerate(losses)), capacity=8, n_objectives=n_objectives)
    survival = RankAndCrowding()
    rows = PymooPopulation.new("F", losses, "index", np.arange(9))
    kept = survival.do(Problem(n_var=1, n_obj=n_objectives), rows, n_survive=8, random_state=np.random.default_rng(0))

    dropped = set(range(9)) - set(people.numbers)
    theirs = set(range(9)) - set(kept.get("index").tolist())
    if np.isinf(_crowding_of_last(losses)).all():
        assert dropped <= _last_front(losses)  # a last rank of extremes only: pymoo draws lots, we drop the oldest
    else:
        assert theirs == dropped


def _last_front(losses) -> set[int]:
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    return set(NonDominatedSorting().do(losses)[-1].tolist())


def _crowding_of_last(losses):
    from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function

    return get_crowding_function("cd").do(losses[sorted(_last_front(losses))])


def test_most_crowded_of_the_last_rank_is_dropped():
    """(2, 8) and (1, 9) crowd each other near an end; the extremes stay."""
    assert population(*LINE, fact(1, 1, 9)).numbers == (0, 2, 5, 10)


def test_dominated_member_goes_before_any_crowded_one():
    """Rank comes before crowding."""
    assert population(fact(7, 11, 11), *LINE).numbers == (0, 2, 5, 10)


def test_straggler_that_dominates_is_a_parent_at_once():
    """A slow network's result is not too late for its own generation: there are none."""
    search = ToySearch("nsga2", population=4)
    straggler = search.propose()
    search.run_open(20, keep={straggler})
    search.learn(straggler, values={"val_error": 0.001, "params": 1.0, "latency_ms": 0.001})

    proposal = search.proposal()
    assert proposal.parents
    people = search.strategy.population(search.history)
    assert all(people.winner(straggler, each) == straggler for each in people.numbers)
    children = [search.strategy.propose(search.history, 20, np.random.default_rng(seed)) for seed in range(20)]
    assert any(straggler in child.parents for child in children)


def test_infeasible_is_behind_every_feasible_and_the_smaller_violation_ahead():
    """Constrained domination: a limit broken by little leads back to the feasible region."""
    people = population(
        fact(0, 9, 9),
        fact(1, 0, 0, violation=0.5),
        fact(2, state=State.INFEASIBLE, violation=0.1),
        fact(3, state=State.INFEASIBLE),
    )

    assert people.winner(TrialNumber(1), TrialNumber(0)) == 0
    assert people.winner(TrialNumber(1), TrialNumber(2)) == 2
    assert people.winner(TrialNumber(3), TrialNumber(1)) == 1
    people.learn(fact(4, 8, 9))
    people.learn(fact(5, 7, 9))
    assert people.numbers == (0, 2, 4, 5)


def test_lost_and_half_known_results_teach_nothing():
    """FAILED is the world's fault; a pruned trial without all its values can't be ranked."""
    people = population(
        fact(0, state=State.FAILED), fact(1, 1.0, state=State.PRUNED), fact(2, state=State.CANCELLED), fact(3, 1.0)
    )

    assert people.numbers == ()
    assert (people.n_results, people.n_lost) == (0, 4)
    people.learn(fact(4, 1.0, 2.0, state=State.PRUNED))
    assert people.numbers == (4,)


def test_revision_changes_a_member_in_place():
    """Later measuring rounds correct a lucky first one; the member keeps its age."""
    people = population(*LINE)
    people.learn(fact(2, 11, 11, kind="revision"))
    assert people.numbers == (0, 2, 5, 10)
    people.learn(fact(6, 6, 3))

    assert people.numbers == (0, 5, 10, 6)
    assert people.n_results == 5


def test_dropped_member_with_a_better_revision_competes_again():
    """It was dropped for a value that turned out to be wrong."""
    people = population(fact(7, 11, 11), *LINE)
    people.learn(fact(7, -1, -1, kind="revision"))

    assert 7 in people.numbers


def test_retracted_member_leaves():
    """Its measurement was quarantined: nothing may be bred from it."""
    people = population(*LINE)
    people.learn(fact(2, state=State.FAILED, kind="revision"))

    assert people.numbers == (0, 5, 10)


def test_equal_rows_do_not_fill_the_population():
    """Many small networks give the same loss; the copies go first."""
    assert population(*LINE, fact(6, 5, 5)).numbers == (0, 2, 5, 10)


def test_crowding_is_taken_on_the_logarithm_of_counts():
    """On a linear scale 1,000 and 10,000 parameters are the same place beside 10,000,000."""
    people = Population(OBJECTIVES[:2], capacity=4)
    rows = [(0.9, 1e3), (0.5, 1e4), (0.48, 1.2e4), (0.3, 1e6), (0.1, 1e7)]
    for number, (error, params) in enumerate(rows):
        values = {"val_error": error, "params": params}
        people.learn(Fact(LearnedSeq(number + 1), "result", TrialNumber(number), State.COMPLETED, values))

    assert set(people.numbers) in ({0, 1, 3, 4}, {0, 2, 3, 4})


def test_design_is_random_until_half_the_population_is_known():
    """Children of the first two results would be children of the two fastest networks."""
    search = ToySearch("nsga2", population=8)
    for _ in range(12):
        search.propose()
    for number in range(3):
        search.learn(TrialNumber(number))
    assert search.proposal().operator == "sample"
    search.learn(TrialNumber(3))

    assert search.proposal().operator in {"mutation", "crossover+mutation"}


def test_mutation_only_share_is_kept():
    """`strategy.mutation_only = 1` never mixes two parents."""
    search = ToySearch("nsga2", population=8).run(30)
    for share, most_parents in ((1.0, 1), (0.0, 2)):
        search.strategy._mutation_only = share
        proposals = [search.strategy.propose(search.history, 30, np.random.default_rng(seed)) for seed in range(10)]
        assert {len(each.parents) for each in proposals} == {most_parents}


def test_golden_trace_of_nsga2_2():
    """An unintended change of any proposal; an intended one needs a new version string and a new trace.

    2: draws by `nasd.domain.seeding.below`, which takes a sixth of the time of the generator's own integers.
    """
    search = ToySearch("nsga2", seed=11, population=8).run(80)
    rows = zip(search.history.architectures, search.history.operators, search.history.parents, strict=True)
    trace = [f"{architecture.key[:12]} {operator} {list(parents)}" for architecture, operator, parents in rows]

    assert search.strategy.version == "nsga2-2"
    assert GOLDEN.read_text().splitlines() == trace
