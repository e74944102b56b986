"""A small recurrent policy that decides an architecture token by token, with its gradient written out.

Each decision sees the one before it, what is decided, the place in its list and the preference: a GRU over their
embeddings gives logits, to which a table by decision and place adds a bias and a linear effect of the preference, so
that few samples already move it. Probabilities are weight * exp(logit), normalised over the legal options: an illegal
one has exactly 0, and an untrained policy draws as the space itself does.

Source: Zoph and Le 2017, section 3.1 (the controller); Cho et al. 2014 (the unit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.domain.seeding import seed_of
from nasd.domain.sequences import Kind, Open, Token

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

HIDDEN = 32
_WIDTH = 16  # of an embedding
_MOST_PLACES = 64  # elements of a list that are told apart; later ones are as the last of these


@dataclass(frozen=True, slots=True)
class Batch:
    """n sequences of at most t decisions with at most k options each; what is padded has no weight.

    Attributes:
        previous: (n, t) the token before; 0 at the start.
        kinds, places: (n, t).
        columns, sites: (n, t, k) where the options' logits stand, by kind and by kind and place.
        log_weights: (n, t, k), -inf where illegal.
        chosen: (n, t).
        is_there: (n, t).
        preferences: (n, p).
    """

    previous: Indices
    kinds: Indices
    places: Indices
    columns: Indices
    sites: Indices
    log_weights: Array
    chosen: Indices
    is_there: NDArray[np.bool_]
    preferences: Array

    def __len__(self) -> int:
        return len(self.previous)


@dataclass(frozen=True, slots=True)
class Forward:
    """What a batch gives, kept for its gradient.

    Attributes:
        log_probabilities: (n, t) of what was chosen; 0.0 where nothing is.
        entropy: (n, t) nats of each decision.
    """

    log_probabilities: Array
    entropy: Array
    probabilities: Array  # (n, t, k)
    logs: Array  # (n, t, k), 0.0 where the probability is 0
    inputs: Array  # (n, t, d)
    states: Array  # (n, t + 1, h)
    gates: Array  # (n, t, 4 h): reset, update, candidate, and the recurrent part of the candidate


class Policy:
    """Its parameters are one vector, `theta`, of which everything else is a view.

    Args:
        kinds: what can be decided.
        n_preferences: the length of a preference.
    """

    def __init__(self, kinds: Sequence[Kind], n_preferences: int, *, hidden: int = HIDDEN) -> None:
        self.hidden = hidden
        self.n_preferences = n_preferences
        n_places = [min(kind.n_places, _MOST_PLACES) for kind in kinds]
        self._n_options = [kind.n_options for kind in kinds]
        self._n_places = n_places
        self._first_column = np.cumsum([0, *self._n_options])[:-1].tolist()
        sizes = [n * places for n, places in zip(self._n_options, n_places, strict=True)]
        self._first_site = np.cumsum([0, *sizes])[:-1].tolist()
        self._shapes = {
            "token": (1 + sum(self._n_options), _WIDTH),
            "kind": (len(kinds), _WIDTH),
            "place": (max(n_places, default=1), _WIDTH),
            "preference": (n_preferences, _WIDTH),
            "input": (_WIDTH, 3 * hidden),
            "recurrent": (hidden, 3 * hidden),
            "gate": (3 * hidden,),
            "output": (hidden, sum(self._n_options)),
            "option": (sum(self._n_options),),
            "site": (sum(sizes),),
            "site_preference": (n_preferences, sum(sizes)),
        }
        self.theta: Array = np.zeros(sum(int(np.prod(shape)) for shape in self._shapes.values()))
        self._parts = self.parts(self.theta)
        self._initialise(seed_of("policy", *(kind.name for kind in kinds)))

    def parts(self, vector: Array) -> dict[str, Array]:
        """Views of a vector like `theta`, by name."""
        views, start = {}, 0
        for name, shape in self._shapes.items():
            end = start + int(np.prod(shape))
            views[name] = vector[start:end].reshape(shape)
            start = end
        return views

    def load(self, theta: Array) -> None:
        """Take over parameters.

        Raises:
            ValueError: of another size, or not finite.
        """
        if theta.shape != self.theta.shape or not np.isfinite(theta).all():
            raise ValueError(f"{theta.size} parameters, not {self.theta.size} finite ones")
        self.theta[:] = theta

    def place(self, decision: Open) -> int:
        return min(decision.place, self._n_places[decision.kind] - 1)

    def token(self, decision: Open, option: int) -> int:
        """The number of a token, from 1."""
        return 1 + int(self._first_column[decision.kind]) + option

    def span(self, decision: Open) -> tuple[slice, slice]:
        """Where a decision's logits stand, by kind and by kind and place."""
        n, first = self._n_options[decision.kind], self._first_column[decision.kind]
        site = self._first_site[decision.kind] + self.place(decision) * n
        return slice(first, first + n), slice(site, site + n)

    def batch(self, sequences: Sequence[Sequence[Token]], preferences: Array) -> Batch:
        """Sequences padded to equal length; none may be empty of all decisions in every row."""
        n, t = len(sequences), max((len(each) for each in sequences), default=0)
        k = max(self._n_options, default=1)
        columns, sites = np.zeros((n, t, k), dtype=np.intp), np.zeros((n, t, k), dtype=np.intp)
        previous, kinds, places, chosen = (np.zeros((n, t), dtype=np.intp) for _ in range(4))
        weights = np.zeros((n, t, k))
        weights[:, :, 0] = 1.0  # padding
        is_there = np.zeros((n, t), dtype=np.bool_)
        for row, sequence in enumerate(sequences):
            before = 0
            for at, token in enumerate(sequence):
                decision, (column, site) = token.open, self.span(token.open)
                width = len(decision.weights)
                previous[row, at], kinds[row, at], places[row, at] = before, decision.kind, self.place(decision)
                columns[row, at, :width] = np.arange(column.start, column.stop)
                sites[row, at, :width] = np.arange(site.start, site.stop)
                weights[row, at, :width] = decision.weights
                chosen[row, at], is_there[row, at] = token.option, True
                before = self.token(decision, token.option)
        with np.errstate(divide="ignore"):
            logs = np.log(weights)
        return Batch(previous, kinds, places, columns, sites, logs, chosen, is_there, preferences)

    def forward(self, batch: Batch) -> Forward:
        """Log-probabilities and entropies of a batch."""
        p, (n, t) = self._parts, batch.previous.shape
        inputs = p["token"][batch.previous] + p["kind"][batch.kinds] + p["place"][batch.places]  # (n, t, d)
        inputs = inputs + (batch.preferences @ p["preference"])[:, None]
        states, gates = np.zeros((n, t + 1, self.hidden)), np.zeros((n, t, 4 * self.hidden))
        driven = inputs @ p["input"] + p["gate"]  # (n, t, 3 h)
        for at in range(t):
            states[:, at + 1], gates[:, at] = _step(driven[:, at], states[:, at], p["recurrent"])
        every = states[:, 1:] @ p["output"] + p["option"]  # (n, t, all options)
        sites = p["site"] + batch.preferences @ p["site_preference"]  # (n, all sites)
        logits = np.take_along_axis(every, batch.columns, axis=2)  # (n, t, k)
        logits += np.take_along_axis(sites, batch.sites.reshape(n, -1), axis=1).reshape(logits.shape)
        logits += batch.log_weights
        logits -= logits.max(axis=2, keepdims=True)
        raised = np.exp(logits)
        total = raised.sum(axis=2, keepdims=True)
        probabilities = raised / total
        logs = np.where(probabilities > 0, logits - np.log(total), 0.0)
        taken = np.take_along_axis(logs, batch.chosen[:, :, None], axis=2)[:, :, 0]
        return Forward(
            log_probabilities=np.where(batch.is_there, taken, 0.0),
            entropy=np.where(batch.is_there, -(probabilities * logs).sum(axis=2), 0.0),
            probabilities=probabilities,
            logs=logs,
            inputs=inputs,
            states=states,
            gates=gates,
        )

    def gradient(self, batch: Batch, forward: Forward, weights: Array, *, entropy: float) -> Array:
        """Of sum(weights * log-probabilities) + entropy * sum(entropies), with respect to `theta`.

        Args:
            weights: (n, t), or (n, 1) where every decision of a sequence weighs the same.
        """
        f, h = forward, self.hidden
        found = np.zeros_like(self.theta)
        g, p = self.parts(found), self._parts
        onehot = np.arange(f.probabilities.shape[2]) == batch.chosen[:, :, None]
        d_logits = weights[:, :, None] * (onehot - f.probabilities)  # (n, t, k)
        d_logits -= entropy * f.probabilities * (f.logs + f.entropy[:, :, None])
        d_logits *= batch.is_there[:, :, None]
        n, t, _ = d_logits.shape
        d_every, d_sites = np.zeros((n, t, p["option"].size)), np.zeros((n, p["site"].size))
        rows, steps = np.arange(n)[:, None, None], np.arange(t)[None, :, None]
        np.add.at(d_every, (rows, steps, batch.columns), d_logits)
        np.add.at(d_sites, (rows, batch.sites), d_logits)
        g["site"] += d_sites.sum(axis=0)
        g["site_preference"] += batch.preferences.T @ d_sites
        g["option"] += d_every.sum(axis=(0, 1))
        g["output"] += f.states[:, 1:].reshape(-1, h).T @ d_every.reshape(n * t, -1)
        d_driven = self._backwards(f, d_every @ p["output"].T, g)
        g["gate"] += d_driven.sum(axis=(0, 1))
        g["input"] += f.inputs.reshape(n * t, -1).T @ d_driven.reshape(n * t, -1)
        d_inputs = d_driven @ p["input"].T  # (n, t, d)
        np.add.at(g["token"], batch.previous, d_inputs)
        np.add.at(g["kind"], batch.kinds, d_inputs)
        np.add.at(g["place"], batch.places, d_inputs)
        g["preference"] += batch.preferences.T @ d_inputs.sum(axis=1)
        return found

    def _backwards(self, f: Forward, d_states: Array, g: dict[str, Array]) -> Array:
        """Through time: (n, t, 3 h) of what drove the gates; adds to the recurrent part of `g`."""
        h, recurrent = self.hidden, self._parts["recurrent"]
        n, t, _ = d_states.shape
        d_driven, d_next = np.zeros((n, t, 3 * h)), np.zeros((n, h))
        for at in reversed(range(t)):
            reset, update, candidate, inner = np.split(f.gates[:, at], 4, axis=1)
            before, d_state = f.states[:, at], d_states[:, at] + d_next
            d_candidate = d_state * (1 - update) * (1 - candidate**2)
            d_update = d_state * (before - candidate) * update * (1 - update)
            d_reset = d_candidate * inner * reset * (1 - reset)
            d_driven[:, at] = np.concatenate([d_reset, d_update, d_candidate], axis=1)
            d_inner = np.concatenate([d_reset, d_update, d_candidate * reset], axis=1)
            g["recurrent"] += before.T @ d_inner
            d_next = d_state * update + d_inner @ recurrent.T
        return d_driven

    def _initialise(self, seed: int) -> None:
        """Outputs start at 0: every option as its weight says."""
        rng = np.random.Generator(np.random.PCG64(seed))
        for name in ("token", "kind", "place", "preference"):
            self._parts[name][:] = rng.normal(0.0, 0.3, self._shapes[name])
        for name in ("input", "recurrent"):
            rows, columns = self._parts[name].shape
            self._parts[name][:] = rng.normal(0.0, 1 / np.sqrt(rows), (rows, columns))


class Emission:
    """One sequence in the making.

    Attributes:
        log_probability: of the decisions taken so far.
    """

    def __init__(self, policy: Policy, preference: Array, rng: np.random.Generator) -> None:
        parts = policy.parts(policy.theta)
        self._policy, self._rng, self._p = policy, rng, parts
        self._bias = preference @ parts["preference"]
        self._sites = parts["site"] + preference @ parts["site_preference"]
        self._state, self._previous = np.zeros((1, policy.hidden)), 0
        self.log_probability = 0.0

    def __call__(self, decision: Open) -> int:
        """Take it; as `nasd.domain.sequences.Choose`."""
        p, policy = self._p, self._policy
        embedded = p["token"][self._previous] + p["kind"][decision.kind] + p["place"][policy.place(decision)]
        driven = (embedded + self._bias) @ p["input"] + p["gate"]
        self._state, _ = _step(driven[None], self._state, p["recurrent"])
        columns, sites = policy.span(decision)
        logits = self._state[0] @ p["output"][:, columns] + p["option"][columns] + self._sites[sites]
        weights = np.asarray(decision.weights)
        raised = weights * np.exp(logits - logits[weights > 0].max())
        sums = np.cumsum(raised)
        option = int(np.searchsorted(sums, self._rng.random() * sums[-1], side="right"))
        option = min(option, int(np.flatnonzero(raised)[-1]))  # a product may round up to the sum itself
        self.log_probability += float(np.log(raised[option] / sums[-1]))
        self._previous = policy.token(decision, option)
        return option


def _step(driven: Array, state: Array, recurrent: Array) -> tuple[Array, Array]:
    """One step of the unit for (n, 3 h) inputs: the next state, and its gates."""
    h = state.shape[1]
    inner = state @ recurrent
    both = 1 / (1 + np.exp(-(driven[:, : 2 * h] + inner[:, : 2 * h])))
    reset, update = both[:, :h], both[:, h:]
    candidate = np.tanh(driven[:, 2 * h :] + reset * inner[:, 2 * h :])
    after = (1 - update) * candidate + update * state
    return after, np.concatenate([both, candidate, inner[:, 2 * h :]], axis=1)
