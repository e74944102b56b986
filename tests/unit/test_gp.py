"""Optuna's Gaussian processes as a pure strategy, and the process that they run in."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from space_cases import SPACES
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.domain.study import StrategySpec
from nasd.errors import UserError, WorldFault
from nasd.strategies import build
from nasd.strategies.base import Setting
from nasd.strategies.fresh import unproposed
from nasd.strategies.gp import STARTUP, Gp, points_of, told
from nasd.strategies.gp_proposer import Proposer
from nasd.strategies.optuna_view import OptunaView, Seen
from nasd.strategies.optuna_window import front_latest_and_spread

REQUEST = {
    "axes": [["x", "real", 0.0, 1.0, False], ["op", "category", 0, 2, False]],
    "finished": [[{"x": at / 12, "op": at % 3}, [(at / 12 - 0.4) ** 2, at % 3], None] for at in range(12)],
    "running": [{"x": 0.41, "op": 0}],
    "seed": 7,
}


@pytest.fixture(scope="module")
def proposer():
    """One process for the asks of this module: torch takes seconds to import."""
    made = Proposer()
    yield made
    made.close()


def finished(space, *, n: int = STARTUP + 2, objectives=OBJECTIVES[:2], evaluate=None) -> History:
    """Random trials, all of them learned."""
    history = History(objectives)
    for number in range(n):
        history.add(Proposal(unproposed(space, history, trial_rng(0, number)), "sample"))
        cost = float(space.encode(history.architectures[number]).sum())
        state, values, bad = State.COMPLETED, {"val_error": 1 / (1 + cost), "params": 1 + cost}, 0.0
        if evaluate is not None:
            state, values, bad = evaluate(number, values)
        history.learn(Fact(LearnedSeq(number + 1), "result", TrialNumber(number), state, values, bad))
    return history


def gone(pid: int, limit_s: float = 10.0) -> bool:
    """Whether a process ends within the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:  # nobody in this container may collect it
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("name", ["mlp and recipe", "cnn, small, 1-D", "custom, as in the docs"])
def test_conditional_spaces_are_searched(name, proposer):
    """Every trial has every parameter there, what does not exist at a value of its own."""
    space = SPACES[name].space()
    history = finished(space)
    proposal = Gp(space, OBJECTIVES[:2], proposer=proposer).propose(history, len(history), trial_rng(0, 12))

    assert proposal.operator == "gp"
    assert proposal.architecture == space.canonical(proposal.architecture.as_dict())


@pytest.mark.slow
def test_same_rows_give_the_same_proposals(proposer):
    """The process is asked with all that its answer depends on: a new one says the same."""
    search = ToySearch("gp", seed=1, objectives=OBJECTIVES[:2])
    search.strategy = Gp(search.space, search.objectives, proposer=proposer)
    search.run(STARTUP, in_flight=2)
    for _ in range(2):
        search.propose()
    other = search.fresh_strategy()
    again = [search.proposal(), search.proposal(other)]
    other.close()

    assert again == [again[0]] * 2
    assert again[0].operator.startswith("gp")


def test_infeasible_trials_are_constraints(proposer):
    """With values or without, of a known size or not, some or all of them."""

    def some(number, values):
        if number % 3 == 0:
            return State.INFEASIBLE, {}, 0.0
        return State.COMPLETED, values, float(number % 3 == 1)

    for evaluate in (some, lambda number, values: (State.INFEASIBLE, {}, 0.0)):
        history = finished(ToySpace(), evaluate=evaluate)
        strategy = Gp(ToySpace(), OBJECTIVES[:2], proposer=proposer)
        assert strategy.propose(history, 12, trial_rng(0, 12)).operator.startswith("gp")


def test_what_an_infeasible_trial_lacks_counts_as_the_worst():
    """The model needs every value; a made-up good one would draw the search to what can't be built."""
    history = finished(ToySpace())
    view = OptunaView(ToySpace(), OBJECTIVES[:2], fixed=True)
    view.follow(history)
    rows = told(view, [Seen(0, (1.0, 5.0), 0.0), Seen(1, (2.0, 3.0), 0.25), Seen(2, (None, None), float("inf"))])

    assert [(losses, bad) for _, losses, bad in rows] == [([1.0, 5.0], 0.0), ([2.0, 3.0], 0.25), ([2.0, 5.0], 0.5)]
    assert told(view, [Seen(0, (1.0, 5.0), 0.0)])[0][2] is None


def test_two_hundred_of_many_are_shown():
    """The front, the latest and a spread of the rest; the same whenever asked."""
    space = ToySpace()
    history, view = finished(space, n=400), OptunaView(space, OBJECTIVES[:2], fixed=True)
    view.follow(history)
    seen = view.finished()
    points = points_of(view.axes, [view.numbers_of(each.number) for each in seen])
    shown = front_latest_and_spread(seen, points, n_front=20, n_latest=50, most=200)
    numbers = [each.number for each in shown]

    assert points.min() >= 0
    assert points.max() <= 1
    assert len(set(numbers)) == 200
    assert numbers == sorted(numbers)
    assert set(range(350, 400)) <= set(numbers)
    assert int(np.argmin([each.losses[0] for each in seen])) in numbers
    assert shown == front_latest_and_spread(seen, points, n_front=20, n_latest=50, most=200)


def test_killed_process_is_started_again(proposer):
    """The kernel may kill it for its memory; the search goes on, and says the same."""
    first = proposer.ask(REQUEST)
    os.kill(proposer.pid, signal.SIGKILL)

    assert first == proposer.ask(REQUEST)
    assert {"x", "op"} == first["numbers"].keys()


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "raise SystemExit(1)"])
def test_no_answer_is_an_error_after_three_attempts(code):
    """Another kind of proposal instead would be no function of rows; the tick is tried again."""
    proposer = Proposer(limit_s=0.3, command=(sys.executable, "-c", code))
    with pytest.raises(WorldFault, match=r"no answer in 3 attempts: it (ended|took more than 0.3 s)"):
        proposer.ask(REQUEST)

    assert proposer.pid is None


def test_error_says_what_it_was(proposer):
    """A bug in there must be readable here."""
    with pytest.raises(WorldFault, match="KeyError: 'axes'"):
        proposer.ask({})


def test_model_that_cannot_be_computed_gives_a_random_proposal():
    """Such a failure is a function of rows: asking again would fail for ever."""
    code = """import sys
for line in sys.stdin: print('{"failed": "LinAlgError: singular"}', flush=True)"""
    history = finished(ToySpace())
    strategy = Gp(ToySpace(), OBJECTIVES[:2], proposer=Proposer(command=(sys.executable, "-c", code)))
    proposal = strategy.propose(history, 12, trial_rng(0, 12))
    strategy.close()

    assert proposal.operator == "sample"


def test_process_ends_with_its_handle():
    """A strategy that is dropped leaves nothing behind."""
    proposer = Proposer(command=(sys.executable, "-c", "import sys\nfor line in sys.stdin: print('{}', flush=True)"))
    proposer.ask(REQUEST)
    pid = proposer.pid
    del proposer
    gc.collect()

    assert gone(pid)


_PARENT = """
import os, signal
from nasd.strategies.gp_proposer import Proposer
proposer = Proposer()
try:
    proposer.ask({"axes": 1})
except Exception:
    proposer._started()  # an error ends it
print(proposer.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_process_ends_with_its_parent():
    """A controller that is killed leaves no process that computes for nobody."""
    path = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", _PARENT], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


@pytest.mark.parametrize(("package", "says"), [("torch", r"Torch: install nasd\[train\]"), ("optuna", "Optuna")])
def test_missing_package_is_one_sentence(monkeypatch, package, says):
    """Both are extras, and a controller often has neither."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf'^strategy.use = "gp": needs {says}'):
        build(StrategySpec(use="gp"), Setting(space=ToySpace(), objectives=OBJECTIVES))


def test_controllers_side_imports_neither_torch_nor_optuna():
    """An import of seconds and half a gigabyte, in a process that has no use for it."""
    code = "import sys, nasd.strategies.gp; print([name for name in ('torch', 'optuna') if name in sys.modules])"
    path = str(Path(__file__).parents[2])
    told_ = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert told_.stdout.strip() == "[]"
