"""Peers are treated as our own strategies are: duplicates free, limits seen, as many in flight as workers."""

from __future__ import annotations

import pytest
from search_bench_table import small_problem  # first: it leads to the bench's modules
from search_genes import decoded, flat_domains
from search_laws import ASKED
from search_optuna import OptunaAsker
from search_peers import PEERS, Asked, Peer, Told
from search_pymoo import PymooNsga2
from search_runs import record, study_spec

from nasd.controller.objectives import history_limits, history_objectives
from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.domain.study import SpaceSpec
from nasd.spaces import build
from nasd.strategies.base import Setting

LIMITED = small_problem(is_limited=True)
SPEC = study_spec(LIMITED, "optuna-tpe", seed=0, trials=10, n_workers=8)
SETTING = Setting(space=LIMITED.space, objectives=history_objectives(SPEC), limits=history_limits(SPEC))
FAST = [name for name in PEERS if name != "optuna-gp"]


class Scripted:
    """Asks for these networks, in order; None waits."""

    version = "scripted"

    def __init__(self, *networks):
        self.drafts = [Asked(at, each) if each else None for at, each in enumerate(networks)]
        self.told = {}

    def ask(self):
        return self.drafts.pop(0)

    def tell(self, handle, told):
        self.told[handle] = told


def network(wide, kind="odd", depth=16):
    return LIMITED.space.canonical({"wide": wide, "kind": kind, "depth": depth})


def learn(history, number, values, state=State.COMPLETED):
    history.learn(Fact(LearnedSeq(history.learned_seq + 1), "result", TrialNumber(number), state, values))


def propose(peer, history):
    proposal = peer.propose(history, len(history), trial_rng(0, len(history)))
    if isinstance(proposal, Proposal):
        history.add(proposal)
    return proposal


def test_a_duplicate_is_answered_from_what_was_told_and_asked_again():
    """It costs no trial, and the library learns the same value twice."""
    script = Scripted(network(1), network(1), network(2))
    peer, history = Peer("scripted", script, SETTING), History(SETTING.objectives)
    propose(peer, history)
    learn(history, 0, {"val_error": 0.3, "params": 120.0})

    proposal = propose(peer, history)

    assert network(2) == proposal.architecture
    assert peer.n_duplicates == 1
    assert script.told[0] == script.told[1]


def test_a_duplicate_of_one_in_flight_is_answered_with_it():
    script = Scripted(network(1), network(1), network(2), None)
    peer, history = Peer("scripted", script, SETTING), History(SETTING.objectives)
    propose(peer, history)
    propose(peer, history)
    assert script.told == {}

    learn(history, 0, {"val_error": 0.3, "params": 120.0})
    assert isinstance(propose(peer, history), Wait)

    assert {0, 1} == set(script.told)


def test_a_draft_that_is_no_member_costs_no_trial():
    script = Scripted(network(1))
    script.drafts.insert(0, Asked("illegal", None))
    peer, history = Peer("scripted", script, SETTING), History(SETTING.objectives)

    assert network(1) == propose(peer, history).architecture
    assert script.told == {"illegal": None}


def test_limits_are_told_as_the_excess_over_the_bound():
    """0.7 is twice the bound: an excess of 1; kept limits are negative, as libraries expect."""
    script = Scripted(network(1), network(2), None)
    peer, history = Peer("scripted", script, SETTING), History(SETTING.objectives)
    for _ in range(2):
        propose(peer, history)
    learn(history, 0, {"val_error": 0.7, "params": 120.0})
    learn(history, 1, {"val_error": 0.07, "params": 220.0})
    propose(peer, history)

    assert pytest.approx(script.told[0].excess) == (1.0,)
    assert pytest.approx(script.told[1].excess) == (-0.8,)


def test_a_failed_trial_is_told_without_values():
    script = Scripted(network(1), None)
    peer, history = Peer("scripted", script, SETTING), History(SETTING.objectives)
    propose(peer, history)
    learn(history, 0, {"params": 120.0}, State.FAILED)
    propose(peer, history)

    assert script.told == {0: None}


def test_optuna_sees_the_limit_as_a_constraint():
    asker = OptunaAsker("nsga2-20", SETTING, 0)
    bad, good = asker.ask(), asker.ask()
    asker.tell(bad.handle, Told((0.7, 1.0), (1.0,)))
    asker.tell(good.handle, Told((0.1, 2.0), (-0.7,)))

    first, second = asker._study.trials

    assert first.constraints == {"limit0": 1.0}
    assert second.constraints == {"limit0": -0.7}
    assert [second.number] == [trial.number for trial in asker._study.best_trials]  # params alone would keep both


def test_pymoo_waits_for_its_whole_generation():
    """One straggler holds back everything: that is what a generational search does."""
    asker = PymooNsga2(SETTING, 0, population=10)
    first = [asker.ask()]
    while (asked := asker.ask()) is not None:
        first.append(asked)
    for asked in first[:-1]:
        asker.tell(asked.handle, Told((0.2, 1.0), (-0.4,)))

    assert asker.ask() is None
    asker.tell(first[-1].handle, Told((0.2, 1.0), (-0.4,)))
    assert asker.ask() is not None


def test_pymoo_prefers_what_keeps_the_limit():
    """Nine members break the limit and are better in every loss: the one that keeps it survives them."""
    asker = PymooNsga2(SETTING, 0, population=10)
    for at in range(10):
        asked = asker.ask()
        asker.tell(asked.handle, Told((0.3, 9.0), (-0.1,)) if at == 4 else Told((0.01, 1.0), (1.0,)))
    asker.ask()

    assert [bool(each.feas) for each in asker._algorithm.opt] == [True]


@pytest.mark.parametrize("name", FAST)
def test_peers_spend_their_budget_on_distinct_networks(name):
    """24 of 28 networks: every one of them repeats itself, and none is charged for it."""
    found = record(LIMITED, name, 0, trials=24)

    assert len(found["hv"]) == 24
    assert found["duplicates"] > 0
    assert found["ended"].startswith("its budget of 24 trials")


@pytest.mark.parametrize("name", FAST)
def test_the_same_seed_gives_the_same_curve(name):
    curves = [record(LIMITED, name, seed, trials=16)["hv"] for seed in (3, 3, 4)]

    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_peers_have_exactly_as_many_in_flight_as_there_are_workers():
    assert SPEC.strategy.in_flight == 8
    assert study_spec(LIMITED, "nsga2", seed=0, trials=10, n_workers=8).strategy.in_flight is None


def test_a_generational_search_leaves_workers_idle_and_a_steady_one_does_not():
    idle, busy = (record(LIMITED, name, 0, trials=28)["utilisation"] for name in ("pymoo-nsga2-20", "optuna-nsga2-20"))

    assert idle < 0.95
    assert busy > 0.99


def test_a_conditional_space_is_asked_for_what_exists_alone():
    """Every draft of the real CNN space is a member: a map that would be halved too often is repaired from the end."""
    space = build(SpaceSpec(kind="cnn"), ASKED)
    flat = flat_domains(space)
    for number in range(200):
        rng = trial_rng(0, number)
        values = {name: domain.draw(rng) for name, domain in flat.items()}
        asked = []

        def suggest(name, _domain, asked=asked, values=values):
            asked.append(name)
            return values[name]

        assert decoded(space, suggest) is not None
        assert len(asked) == len(set(asked)) < len(flat)


def test_a_repair_changes_the_end_and_no_more_than_needed():
    """A side of 32 may be halved four times: the first four strides stay."""
    space = build(SpaceSpec(kind="cnn"), ASKED)
    values = {"blocks": 6, "activation": "relu", "norm": "none"}
    lists = {"op": "conv", "channels": 32, "kernel": 3, "stride": 2, "residual": False, "se": False}

    found = decoded(space, lambda name, _domain: values.get(name, lists.get(name.partition("[")[0])))

    assert found["stride"] == (2, 2, 2, 2, 1, 1)
