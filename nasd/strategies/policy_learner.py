"""The learner: a policy as a fold over facts, updated after every few results by clipped ratios of probabilities.

A trial's operator says which version of the policy drew it (`policy-12`), and its preference follows from its number,
so that rows alone give the probability that it was drawn with, however late its result is. Only what a policy drew
moves it; every result counts for what is usual. A draw that was not canonical counts as the canonical sequence of its
network, whose probability is then less than that of all sequences that lead there.

Source: Schulman et al. 2017, proximal policy optimization, equation 7. Advantages are ranks among recent results under
the trial's own preference (`Rewarded.standing`): baseline and whitening in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from nasd.domain.history import Fact, History
from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.sequences import Sequences, Token
from nasd.strategies.members import Member, members_from_json, members_to_json
from nasd.strategies.policy import Batch, Policy
from nasd.strategies.reward import Reward
from nasd.strategies.rewarded import Rewarded, packed, unpacked

Array = NDArray[np.float64]

EVERY = 8  # results
_WINDOW = 64  # results of policies that an update learns from: old ones soon leave it by their ratios
_EPOCHS = 4
_CLIP = 0.2
_RATE = 0.02
_DECAYS, _EPSILON = (0.9, 0.999), 1e-8
_LARGEST_GRADIENT = 1.0
_ENTROPY, _LEAST_ENTROPY = 0.02, 0.002
_HALVED_AFTER = 40  # versions

_OPERATOR = "policy"


def operator_of(version: int) -> str:
    """Of a trial that this version drew."""
    return f"{_OPERATOR}-{version}"


def version_of(operator: str) -> int | None:
    """The version that drew a trial; None where none did."""
    name, _, version = operator.partition("-")
    return int(version) if name == _OPERATOR and version.isdecimal() else None


def ratio_weights(ratios: Array, advantages: Array) -> Array:
    """(n, t) what each log-probability's gradient weighs in that of the sum of min(r A, clip(r) A).

    Args:
        ratios: (n, t) of each decision: those of whole sequences would leave the clip at once where sequences are long.
        advantages: (n, 1).
    """
    is_clipped = np.where(advantages > 0, ratios > 1 + _CLIP, ratios < 1 - _CLIP)
    return np.where(is_clipped, 0.0, ratios * advantages)


class Learner:
    """A `nasd.strategies.follow.Fold` that needs a history's rows as well: `settle` after `learn`.

    Attributes:
        version: how many updates the policy has seen.
    """

    def __init__(self, sequences: Sequences, objectives: Sequence[Objective], reward: Reward) -> None:
        self._sequences, self._reward, self._n_objectives = sequences, reward, len(objectives)
        self.policy = Policy(sequences.kinds, reward.n_preferences)
        self.results = Rewarded(objectives, reward)
        self._first, self._second = np.zeros_like(self.policy.theta), np.zeros_like(self.policy.theta)  # moments
        self._n_steps = 0
        self.version = 0
        self._fresh: list[TrialNumber] = []  # results since the last update
        self._window: dict[TrialNumber, Member] = {}  # results of policies, and the fresh ones
        self._log_probabilities: dict[TrialNumber, list[float]] = {}  # of its decisions, by the version that drew it
        self._lost: list[TrialNumber] = []  # since the last update
        self._threads = ThreadpoolController()
        # of the rows and never older than they: not part of a cache
        self._new: list[Fact] = []
        self._n_rows = 0
        self._drawn: dict[int, list[TrialNumber]] = {}  # by version, from the present one on
        self._tokens: dict[TrialNumber, tuple[Token, ...] | None] = {}

    @property
    def numbers(self) -> tuple[TrialNumber, ...]:
        return self.results.numbers

    def learn(self, fact: Fact) -> None:
        self._new.append(fact)

    def settle(self, history: History) -> None:
        """Take in what was learned, and update as often as that makes due: a function of the facts' prefix."""
        for number in range(self._n_rows, len(history)):
            version = version_of(history.operators[number])
            if version is not None and version >= self.version:
                self._drawn.setdefault(version, []).append(TrialNumber(number))
        self._n_rows = len(history)
        new, self._new = self._new, []
        for fact in new:
            self._take(fact)
            if len(self._fresh) == EVERY:
                with self._threads.limit(limits=1, user_api="blas"):  # sums in one order, whatever the machine does
                    self._update(history)

    def _take(self, fact: Fact) -> None:
        member = self.results.take(fact)
        if member is None:
            if fact.trial not in self._window:
                self._lost.append(fact.trial)
        elif fact.trial in self._window:
            self._window[fact.trial] = member
        elif fact.kind == "result":
            self._fresh.append(fact.trial)
            self._window[fact.trial] = member

    def _update(self, history: History) -> None:
        self._note(history)
        for number in self._fresh:
            if number not in self._log_probabilities:
                del self._window[number]  # no policy drew it
        for number in (*self._lost, *list(self._window)[:-_WINDOW]):
            self._window.pop(number, None)
            self._log_probabilities.pop(number, None)
            self._tokens.pop(number, None)
        self._fresh, self._lost = [], []
        if self._window:
            numbers = tuple(self._window)
            batch = self._batch(numbers, history)
            old = np.zeros(batch.is_there.shape)
            old[batch.is_there] = [log for number in numbers for log in self._log_probabilities[number]]
            self._improve(batch, old, self.results.standing(tuple(self._window.values()), batch.preferences))
        self.version += 1

    def _note(self, history: History) -> None:
        """Remember the probabilities of what the present version drew, before it changes."""
        drawn = self._drawn.pop(self.version, [])
        numbers = [number for number in drawn if self._walked(number, history) is not None]
        if numbers:
            batch = self._batch(numbers, history)
            logs = self.policy.forward(batch).log_probabilities
            for number, row, is_there in zip(numbers, logs, batch.is_there, strict=True):
                self._log_probabilities[number] = row[is_there].tolist()

    def _batch(self, numbers: Sequence[TrialNumber], history: History) -> Batch:
        walks = [self._walked(number, history) or () for number in numbers]
        return self.policy.batch(walks, self._reward.preferences(numbers))

    def _walked(self, number: TrialNumber, history: History) -> tuple[Token, ...] | None:
        if number not in self._tokens:
            self._tokens[number] = self._sequences.walked(history.architectures[number])
        return self._tokens[number]

    def _improve(self, batch: Batch, old: Array, advantages: Array) -> None:
        """A few steps uphill.

        Args:
            old: (n, t) log-probabilities under the versions that drew the sequences.
            advantages: (n,).
        """
        n, policy = len(batch), self.policy
        entropy = max(_LEAST_ENTROPY, _ENTROPY * 0.5 ** (self.version / _HALVED_AFTER))
        for _ in range(_EPOCHS):
            forward = policy.forward(batch)
            weights = ratio_weights(np.exp(forward.log_probabilities - old), advantages[:, None])
            self._step(policy.gradient(batch, forward, weights / n, entropy=entropy / n))

    def _step(self, gradient: Array) -> None:
        """Adam's."""
        norm = float(np.sqrt((gradient**2).sum()))
        gradient = gradient * min(1.0, _LARGEST_GRADIENT / max(norm, 1e-12))
        self._n_steps += 1
        one, two = _DECAYS
        self._first = one * self._first + (1 - one) * gradient
        self._second = two * self._second + (1 - two) * gradient**2
        first, second = self._first / (1 - one**self._n_steps), self._second / (1 - two**self._n_steps)
        self.policy.theta += _RATE * first / (np.sqrt(second) + _EPSILON)

    def to_json(self) -> dict[str, object]:
        """Exact."""
        return {
            "policy": [packed(vector) for vector in (self.policy.theta, self._first, self._second)],
            "results": self.results.to_json(),
            "fresh": list(self._fresh),
            "lost": list(self._lost),
            "window": members_to_json(self._window.values()),
            "log_probabilities": [[number, logs] for number, logs in sorted(self._log_probabilities.items())],
            "counts": [self._n_steps, self.version],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it was not written by this version.
        """
        theta, first, second = (unpacked(text, self.policy.theta.size) for text in state["policy"])
        n_steps, version = (int(each) for each in state["counts"])
        window = {member.number: member for member in members_from_json(state["window"], self._n_objectives)}
        fresh, lost = ([TrialNumber(int(each)) for each in state[key]] for key in ("fresh", "lost"))
        logs = {TrialNumber(int(n)): [float(log) for log in logs] for n, logs in state["log_probabilities"]}
        self.results.load(state["results"])
        self.policy.load(theta)
        self._first, self._second, self._n_steps, self.version = first, second, n_steps, version
        self._window, self._fresh, self._lost, self._log_probabilities = window, fresh, lost, logs
