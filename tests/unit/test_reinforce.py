"""`reinforce`: the policy's gradient, its probabilities, and what is learned from which trial."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import moocore
import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.domain.sequences import Kind, Open, Token
from nasd.domain.study import RewardTerm, StrategySpec
from nasd.errors import StudyFileError
from nasd.strategies.base import Setting
from nasd.strategies.policy import Batch, Emission, Policy
from nasd.strategies.policy_learner import EVERY, Learner, ratio_weights, version_of
from nasd.strategies.reinforce import MutateRewarded, Reinforce, reinforce
from nasd.strategies.reward import Reward
from nasd.studyfile import load
from nasd.studyfile.convert import spec_from_json, spec_to_json

KINDS = (Kind("op", 3), Kind("width", 2, 2))  # an op, then a width each for two layers; the third op masks one
ONE_PREFERENCE = np.array([[0.7, 1.3]])


def every_sequence() -> Iterator[tuple[Token, ...]]:
    for op, one, other in product(range(3), range(2), range(2)):
        if op == 2 and other == 1:
            continue
        weights = (1.0, 0.0) if op == 2 else (1.0, 2.0)
        yield (
            Token(Open(0, 0, (1.0, 1.0, 1.0)), op),
            Token(Open(1, 0, (1.0, 1.0)), one),
            Token(Open(1, 1, weights), other),
        )


def toy_policy(seed: int = 0) -> Policy:
    policy = Policy(KINDS, 2, hidden=6)
    policy.theta[:] = np.random.default_rng(seed).normal(0.0, 0.4, policy.theta.size)
    return policy


def toy_batch(policy: Policy) -> Batch:
    sequences = tuple(every_sequence())
    return policy.batch(sequences, np.repeat(ONE_PREFERENCE, len(sequences), axis=0))


def test_gradient_is_that_of_the_enumerated_expectation():
    """REINFORCE's estimate, with every sequence weighed by its probability, must be the slope of the mean reward."""
    policy = toy_policy()
    batch = toy_batch(policy)
    rewards = np.random.default_rng(1).normal(size=len(batch))

    def expectation() -> float:
        return float(np.exp(policy.forward(batch).log_probabilities.sum(axis=1)) @ rewards)

    forward = policy.forward(batch)
    probabilities = np.exp(forward.log_probabilities.sum(axis=1))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    gradient = policy.gradient(batch, forward, (probabilities * rewards)[:, None], entropy=0.0)
    assert gradient == pytest.approx(slope_of(expectation, policy), abs=1e-8)


def test_gradient_of_the_entropy_is_its_slope():
    """A wrong sign here would end exploration at once."""
    policy = toy_policy(2)
    batch = toy_batch(policy)
    gradient = policy.gradient(batch, policy.forward(batch), np.zeros((len(batch), 1)), entropy=1.0)

    def entropy() -> float:
        return float(policy.forward(batch).entropy.sum())

    assert gradient == pytest.approx(slope_of(entropy, policy), abs=1e-7)


def slope_of(function, policy: Policy, step: float = 1e-5) -> np.ndarray:
    """Central differences, one parameter at a time."""
    slope = np.zeros_like(policy.theta)
    for at in range(len(slope)):
        value = policy.theta[at]
        policy.theta[at] = value + step
        above = function()
        policy.theta[at] = value - step
        slope[at] = (above - function()) / (2 * step)
        policy.theta[at] = value
    return slope


def test_sampled_gradients_average_to_the_exact_one():
    """The estimate from the policy's own draws, a baseline taken off, has no bias."""
    policy = toy_policy(3)
    batch = toy_batch(policy)
    rewards = np.random.default_rng(4).normal(size=len(batch))
    forward = policy.forward(batch)
    probabilities = np.exp(forward.log_probabilities.sum(axis=1))
    exact = policy.gradient(batch, forward, (probabilities * rewards)[:, None], entropy=0.0)
    n = 200_000
    counts = np.random.default_rng(5).multinomial(n, probabilities)
    estimate = policy.gradient(batch, forward, (counts / n * (rewards - 0.3))[:, None], entropy=0.0)

    assert np.abs(estimate - exact).max() < 0.01 * np.abs(exact).max() + 0.005


def test_emitted_probabilities_are_the_batch_s():
    """What is drawn token by token and what the update computes must be one distribution."""
    policy, rng = toy_policy(6), np.random.default_rng(7)
    sequences = tuple(every_sequence())
    logs = policy.forward(toy_batch(policy)).log_probabilities.sum(axis=1)
    counts = np.zeros(len(sequences))
    for _ in range(3000):
        emission, taken = Emission(policy, ONE_PREFERENCE[0], rng), []
        for at in range(3):
            decision = next(s[at].open for s in sequences if [t.option for t in s[:at]] == taken)
            taken.append(emission(decision))
        at = next(row for row, s in enumerate(sequences) if [t.option for t in s] == taken)
        assert emission.log_probability == pytest.approx(logs[at], abs=1e-10)
        counts[at] += 1
    assert counts / 3000 == pytest.approx(np.exp(logs), abs=0.04)


def test_illegal_options_have_no_probability_at_all():
    """However much the policy would like them."""
    policy = toy_policy()
    policy.parts(policy.theta)["site"][:] = 500.0 * np.arange(policy.parts(policy.theta)["site"].size)
    batch = toy_batch(policy)
    forward = policy.forward(batch)
    illegal = np.isneginf(batch.log_weights)

    assert (forward.probabilities[illegal] == 0.0).all()
    assert np.isfinite(policy.gradient(batch, forward, np.ones((len(batch), 1)), entropy=1.0)).all()
    for seed in range(200):
        emission = Emission(policy, ONE_PREFERENCE[0], np.random.default_rng(seed))
        assert emission(Open(1, 1, (1.0, 0.0))) == 0


def test_untrained_policy_draws_as_the_space_does():
    """Weights are the space's own; before the first update nothing else counts."""
    policy = Policy(KINDS, 2)
    batch = toy_batch(policy)
    weights = np.exp(batch.log_weights)

    assert policy.forward(batch).probabilities == pytest.approx(weights / weights.sum(axis=2, keepdims=True))


@pytest.mark.parametrize(("ratio", "advantage", "weight"), [(1.0, 2.0, 2.0), (1.0, -2.0, -2.0), (1.5, 2.0, 0.0)])
def test_ratio_of_one_is_plain_reinforce(ratio, advantage, weight):
    """At lag 0 the clipped objective has the gradient of the advantage times the log-probability."""
    assert ratio_weights(np.array([[ratio]]), np.array([[advantage]])).tolist() == [[weight]]


def test_a_late_bad_result_still_counts_where_its_probability_rose():
    """Clipping must never shield what got likelier and turned out bad, nor revive what got unlikely and is good."""
    ratios, advantages = np.array([[1.5, 0.5], [0.5, 1.5]]), np.array([[-1.0], [1.0]])

    assert ratio_weights(ratios, advantages).tolist() == [[-1.5, 0.0], [0.5, 0.0]]


def learner_of(search: ToySearch) -> Learner:
    assert isinstance(search.strategy, Reinforce)
    return search.strategy.learner(search.history)


def test_probability_at_proposal_follows_from_rows():
    """However many updates lie between: the ratio would be wrong else, and nothing would show it."""
    search, noted = ToySearch("reinforce", seed=1), {}
    for _ in range(60):
        proposal = search.proposal()
        number = search.history.add(proposal)
        if version_of(proposal.operator) is not None:
            noted[number] = proposal.notes["log_probability"]
        if search.history.n_in_flight > 20:
            search.learn(search.history.in_flight[-1])  # the newest first: the oldest stay out for long
    kept = learner_of(search).to_json()["log_probabilities"]

    assert learner_of(search).version > 2
    assert len(kept) > 20
    assert {version_of(search.history.operators[number]) for number, _ in kept} >= {0, 1, 2}
    assert [sum(logs) for _, logs in kept] == pytest.approx([noted[number] for number, _ in kept], abs=1e-9)


def test_lost_trials_neither_move_the_policy_nor_count():
    """A night without a working device must not wear the policy down."""
    search = ToySearch("reinforce", seed=2).run(40)
    before = learner_of(search).policy.theta.copy()
    version = learner_of(search).version
    search.run(20, finish=lambda toy, number: toy.learn(number, values={}, state=State.FAILED))

    assert learner_of(search).version == version
    assert (learner_of(search).policy.theta == before).all()


def test_updates_fall_due_by_results_alone():
    """Asking often must not train."""
    search = ToySearch("reinforce", seed=3).run(4 * EVERY + 3)
    for _ in range(5):
        search.propose()

    assert learner_of(search).version == 4


def test_entropy_falls_and_stays_above_zero():
    """It falls, or nothing was learned; at zero the search would be over."""
    search = ToySearch("reinforce", seed=4)
    assert isinstance(search.strategy, Reinforce)
    space = search.space
    rows = [space.sequences().walked(space.sample(np.random.default_rng(seed))) for seed in range(64)]
    rewards = Reward(search.objectives, {})
    entropies = []
    for _ in range(4):
        policy = learner_of(search).policy
        forward = policy.forward(policy.batch(rows, rewards.preferences(range(len(rows)))))
        entropies.append(forward.entropy.sum() / sum(map(len, rows)))
        search.run(50)

    assert entropies[0] > 1.1 * entropies[-1] > 0.05


def test_infeasible_results_are_as_bad_as_the_worst():
    """They must repel, and one of them no more than any other."""
    search = ToySearch("reinforce", seed=5)
    search.run(30, finish=lambda toy, n: toy.learn(n, violation=1.0) if n % 3 == 0 else toy.learn(n))
    results = learner_of(search).results
    preferences = Reward(search.objectives, {}).preferences([each.number for each in results.recent])
    standing = results.standing(results.recent, preferences)
    feasible = np.array([each.violation == 0 for each in results.recent])

    assert standing[~feasible].max() <= -0.9
    assert standing.min() >= -1
    assert 0.8 < standing[feasible].max() <= 1


def test_preferences_spread_evenly_and_weigh_all_objectives_alike():
    """A preference that is never asked for is a part of the front that is never searched."""
    points = Reward(OBJECTIVES[:3], {}).preferences(range(300))

    assert points.sum(axis=1) == pytest.approx(np.full(300, 3.0))
    assert points.mean(axis=0) == pytest.approx(np.ones(3), abs=0.05)
    assert (points.max(axis=0) > 2.6).all()
    assert Reward(OBJECTIVES[:1], {}).preferences(range(3)).tolist() == [[1.0]] * 3


def test_reward_of_the_study_file():
    """R = accuracy - a latency / l0 - b memory / m0, up to a constant, at the mean preference."""
    terms = {"params": RewardTerm(weight=0.2, at=1000.0), "latency_ms": RewardTerm(weight=0.1, at=2.0)}
    reward = Reward(OBJECTIVES[:3], terms)
    losses = np.array([[0.1, 500.0, 4.0], [0.3, 0.0, 0.0]])
    found = reward.of(losses, np.ones((1, 3)), low=np.zeros(3), recent=losses)

    assert found.tolist() == [pytest.approx([-(0.1 + 0.2 * 0.5 + 0.1 * 2.0), -0.3])]


def test_maximised_objective_is_rewarded_upwards():
    """Its loss is its negative."""
    reward = Reward((OBJECTIVES[3],), {})
    losses = np.array([[-0.9], [-0.2], [-0.5]])
    found = reward.of(losses, np.ones((1, 1)), low=losses.min(axis=0), recent=losses)[0]

    assert found[0] > found[2] > found[1]


class BareSpace:
    """The toy space without its token view, as a user's own space may be."""

    def __init__(self) -> None:
        self._space = ToySpace()

    def __getattr__(self, name: str):
        if name == "sequences":
            raise AttributeError(name)
        return getattr(self._space, name)


def test_space_without_tokens_is_searched_by_rewarded_parents():
    """Documented, not silent: no policy is there, the rewards are."""
    strategy = reinforce(Setting(space=BareSpace(), objectives=OBJECTIVES[:3]), reward={})
    assert isinstance(strategy, MutateRewarded)
    search = ToySearch("reinforce", seed=6)
    search.fresh_strategy = lambda: reinforce(Setting(space=BareSpace(), objectives=OBJECTIVES[:3]), reward={})
    search.strategy = strategy
    search.run(60)
    restored = search.fresh_strategy()
    restored.restore(*strategy.cache())

    assert len({each.key for each in search.history.architectures}) == 60
    assert any(search.history.parents)
    assert search.proposal() == search.proposal(restored) == search.proposal(search.fresh_strategy())


def test_number_of_blas_threads_changes_nothing():
    """A controller on a larger machine must not replay another study."""
    found = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit):
            search = ToySearch("reinforce", seed=7).run(50)
            found.append([each.key for each in search.history.architectures])
    assert found[0] == found[1]


def test_beats_random_on_the_toy():
    """In 300 trials of each of two seeds: more hypervolume, in the box of what both found."""
    for seed in range(2):
        losses = {use: np.array(ToySearch(use, seed=seed).run(300).history.losses) for use in ("random", "reinforce")}
        for rows in losses.values():
            rows[:, 1:] = np.log(rows[:, 1:])
        low, high = (end(np.vstack(list(losses.values())), axis=0) for end in (np.min, np.max))
        volumes = {use: moocore.hypervolume((rows - low) / (high - low), ref=[1] * 3) for use, rows in losses.items()}
        assert volumes["reinforce"] > volumes["random"]


def test_settings_are_read(tmp_path):
    """`[strategy.reward]` is a table of tables, and a mistake in it is one sentence."""
    text = (
        'name = "x"\n[objectives]\nval_error = {}\nparams = {}\n[budget]\ntrials = 9\n'
        '[strategy]\nuse = "reinforce"\n[strategy.reward]\nparams = { weight = 0.1, at = 1e4 }\n'
    )
    path = tmp_path / "x.toml"
    path.write_text(text)
    spec = load(path)
    assert spec.strategy == StrategySpec(use="reinforce", reward={"params": RewardTerm(weight=0.1, at=1e4)})
    assert spec_from_json(spec_to_json(spec)) == spec
    for old, new, says in (
        ("at = 1e4", "at = 0.0", r"x.toml:10: strategy.reward.*at = 0.0: must be greater than 0"),
        ("params = { weight", "flops = { weight", r"strategy.reward.flops.*no objective of this study"),
        ("[budget]", "[scalar]\nparams = { at = 9.0 }\n[budget]", r"strategy.reward.*beside \[scalar\]"),
        ("weight = 0.1", "heft = 0.1", r"x.toml:10: strategy.reward.params.heft"),
        ('use = "reinforce"', 'use = "nsga2"', r"reward"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(StudyFileError, match=says):
            load(path)


def test_every_trial_number_gets_the_same_proposal_as_the_rows_say():
    """Notes are not needed: a history that was rebuilt without them proposes the same."""
    search = ToySearch("reinforce", seed=8).run(70)
    number = TrialNumber(len(search.history))

    assert search.proposal() == search.fresh_strategy().propose(search.history, number, trial_rng(8, number))
