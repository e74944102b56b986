"""`reinforce`: a policy network draws architectures token by token and learns from their rewards.

Each trial is asked for under a preference that follows from its number, so that one policy yields a front. What the
policy draws is drawn again while it ends in nothing legal or was proposed already; where that goes on, a mutation of
what it wants is proposed, which moves no policy, and where nothing else is left a random architecture.

A space that has no token view (`nasd.domain.sequences.Sequential`) has no policy either: there the best of a few
results under the preference is mutated, which is evolution by the same rewards.

Source: Zoph and Le 2017, neural architecture search with reinforcement learning; Schulman et al. 2017 for the ratios.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.seeding import below
from nasd.domain.sequences import Sequences, Sequential
from nasd.domain.study import RewardTerm
from nasd.errors import SpaceExhausted
from nasd.strategies.base import SearchStrategy, Setting
from nasd.strategies.breed import breed
from nasd.strategies.follow import Follower
from nasd.strategies.fresh import unproposed
from nasd.strategies.policy import Emission
from nasd.strategies.policy_learner import Learner, operator_of
from nasd.strategies.reward import Reward
from nasd.strategies.rewarded import Rewarded

NAME, VERSION = "reinforce", "reinforce-1"
_DRAWS = 32
_MUTATIONS = 8  # one of the other
_DESIGN = 12  # results before a parent is chosen by reward
_SAMPLE = 8  # of which the best is a parent


def reinforce(setting: Setting, *, reward: Mapping[str, RewardTerm]) -> SearchStrategy:
    """The policy, or where the space has no token view what stands in for it."""
    if isinstance(setting.space, Sequential):
        return Reinforce(setting, setting.space.sequences(), reward=reward)
    return MutateRewarded(setting, reward=reward)


class Reinforce:
    """See the module."""

    name = NAME
    version = VERSION

    def __init__(self, setting: Setting, sequences: Sequences, *, reward: Mapping[str, RewardTerm]) -> None:
        self._space, self._sequences = setting.space, sequences
        self._reward = rewards = Reward(setting.objectives, reward)
        kinds = [[kind.name, kind.n_options, kind.n_places] for kind in sequences.kinds]
        self._follower = Follower(
            lambda: Learner(sequences, setting.objectives, rewards),
            {"version": VERSION, "kinds": kinds, **rewards.settings},
        )

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:
        """What the policy draws under the trial's preference.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        learner = self.learner(history)
        preference = self._reward.preferences([trial_number])[0]
        wanted: Architecture | None = None
        for _ in range(_DRAWS):
            emission = Emission(learner.policy, preference, rng)
            drawn = self._sequences.walk(emission, rng)
            if drawn is not None and history.number_of(drawn.key) is None:
                notes = {
                    "policy": learner.version,
                    "log_probability": emission.log_probability,
                    "preference": preference.tolist(),
                }
                return Proposal(drawn, operator_of(learner.version), notes=notes)
            wanted = drawn or wanted
        child = None if wanted is None else self._mutated(wanted, history, rng)
        return child or Proposal(unproposed(self._space, history, rng), "sample")

    def learner(self, history: History) -> Learner:
        """The policy after all facts of `history`."""
        learner = self._follower.follow(history)
        learner.settle(history)
        return learner

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The policy, so that a resumed study need not train it again."""
        return self._follower.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._follower.restore(learned_seq, state)

    def _mutated(self, wanted: Architecture, history: History, rng: np.random.Generator) -> Proposal | None:
        """A mutation of what the policy wants; of the mutation, where that was proposed already too."""
        parents = _known(history.number_of(wanted.key), history)
        for _ in range(_MUTATIONS):
            try:
                wanted = self._space.mutate(wanted, rng)
            except SpaceExhausted:
                return None
            if history.number_of(wanted.key) is None:
                return Proposal(wanted, "mutation", parents)
        return None


class MutateRewarded:
    """Evolution by the policy's rewards, for a space without a token view."""

    name = NAME
    version = VERSION

    def __init__(self, setting: Setting, *, reward: Mapping[str, RewardTerm]) -> None:
        self._space = setting.space
        self._reward = rewards = Reward(setting.objectives, reward)
        self._follower = Follower(
            lambda: Rewarded(setting.objectives, rewards), {"version": VERSION, **rewards.settings}
        )

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:
        """A random architecture at first, then a mutation of the best of a few results under the trial's preference.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        results = self._follower.follow(history)
        if results.n_results < _DESIGN:
            return Proposal(unproposed(self._space, history, rng), "sample")
        return breed(self._space, history, lambda draws: (self._parent(results, trial_number, draws),), rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The recent results."""
        return self._follower.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._follower.restore(learned_seq, state)

    def _parent(self, results: Rewarded, trial_number: int, rng: np.random.Generator) -> TrialNumber:
        recent = results.recent
        drawn = [recent[below(len(recent), rng)] for _ in range(_SAMPLE)]
        standing = results.standing(drawn, self._reward.preferences([trial_number] * len(drawn)))
        best = min(range(len(drawn)), key=lambda at: (drawn[at].violation, -standing[at]))
        return drawn[best].number


def _known(number: TrialNumber | None, history: History) -> tuple[TrialNumber, ...]:
    """The trial as a parent: only one that was learned is."""
    return () if number is None or history.state(number) is None else (number,)
