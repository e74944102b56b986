"""Optuna's NSGA-II on a study that already holds N trials, timed for some more, by processes that start together."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
import zlib
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

if TYPE_CHECKING:
    from overhead_nasd import Pair

POPULATION = 50  # Optuna's default
_names = count(1)


@dataclass(frozen=True, slots=True)
class PeerRun:
    """What the trials after the N-th cost."""

    system: str
    size: int
    n_workers: int
    ms_per_trial: float

    def __str__(self) -> str:
        name = {"rdb": "Optuna NSGA-II on RDBStorage", "journal": "Optuna NSGA-II on its Redis journal"}[self.system]
        cost = f"{self.ms_per_trial:7.2f} ms a trial"
        return f"{self.system:8} {self.size:6} trials, {self.n_workers} workers: {cost} ({name})"


def objective(trial: Any) -> tuple[float, float]:
    """Eight parameters, as the MLP space of two layers has, and two numbers that cost nothing."""
    layers = trial.suggest_int("layers", 2, 5)
    widths = [trial.suggest_categorical(f"width{i}", [128, 256, 512, 1024]) for i in range(4)]
    activation = trial.suggest_categorical("activation", ["relu", "gelu", "silu"])
    norm = trial.suggest_categorical("norm", ["none", "batchnorm", "layernorm"])
    dropout = trial.suggest_float("dropout", 0.0, 0.3, step=0.1)
    size = sum(widths[: min(layers, 4)]) / 4096
    luck = zlib.crc32(repr((layers, widths, activation, norm, dropout)).encode()) / 2**32
    return size, (0.2 + 0.8 * luck) / (1 + 8 * size)


class PeerStudies:
    """Studies with N finished NSGA-II trials, made in memory once and copied into each storage."""

    def __init__(self, pair: Pair) -> None:
        admin = pair.endpoints.database["admin"]
        with psycopg.connect(admin, autocommit=True) as connection:  # its tables need names that our views have
            connection.execute("create database optuna")
        url = urlunsplit(urlsplit(admin)._replace(scheme="postgresql+psycopg", path="/optuna"))
        self.urls = {"rdb": url, "journal": pair.endpoints.services.redis_url("admin")}
        self._filled: dict[int, Any] = {}

    def fresh(self, system: str, size: int) -> str:
        """A new study of that size in that storage; its name."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        name = f"peer-{next(_names)}"
        filled = self._filled.get(size) or self._fill(size)
        target = optuna.create_study(
            study_name=name, storage=storage_of(system, self.urls[system]), directions=["minimize"] * 2
        )
        for key, value in filled._storage.get_study_system_attrs(filled._study_id).items():
            if key not in target._storage.get_study_system_attrs(target._study_id):
                target._storage.set_study_system_attr(target._study_id, key, value)
        if system == "rdb":
            _insert(target, filled)
        else:
            target.add_trials(filled.trials)
        return name

    def _fill(self, size: int) -> Any:
        import optuna

        study = optuna.create_study(directions=["minimize"] * 2, sampler=optuna.samplers.NSGAIISampler(seed=1))
        study.optimize(objective, n_trials=size)
        self._filled[size] = study
        return study


def _insert(target: Any, filled: Any) -> None:
    """Rows straight into Optuna's tables, with NSGA-II's own records: `add_trials` would take an hour for 10,000."""
    from optuna.storages._rdb import models as m
    from sqlalchemy import insert

    study_id, trials = target._study_id, filled.trials
    engine = target._storage._backend.engine if hasattr(target._storage, "_backend") else target._storage.engine
    with engine.begin() as connection:
        rows = [
            {
                "number": t.number,
                "study_id": study_id,
                "state": m.TrialState.COMPLETE,
                "datetime_start": t.datetime_start,
                "datetime_complete": t.datetime_complete,
            }
            for t in trials
        ]
        ids = (
            connection.execute(
                insert(m.TrialModel).returning(m.TrialModel.trial_id, sort_by_parameter_order=True), rows
            )
            .scalars()
            .all()
        )
        pairs = list(zip(ids, trials, strict=True))
        import optuna

        connection.execute(
            insert(m.TrialParamModel),
            [
                {
                    "trial_id": i,
                    "param_name": name,
                    "param_value": t.distributions[name].to_internal_repr(value),
                    "distribution_json": optuna.distributions.distribution_to_json(t.distributions[name]),
                }
                for i, t in pairs
                for name, value in t.params.items()
            ],
        )
        connection.execute(
            insert(m.TrialValueModel),
            [
                {"trial_id": i, "objective": k, "value": v, "value_type": m.TrialValueModel.TrialValueType.FINITE}
                for i, t in pairs
                for k, v in enumerate(t.values)
            ],
        )
        attributes = [
            {"trial_id": i, "key": key, "value_json": json.dumps(value)}
            for i, t in pairs
            for key, value in t.system_attrs.items()
        ]
        if attributes:
            connection.execute(insert(m.TrialSystemAttributeModel), attributes)


def storage_of(system: str, url: str) -> Any:
    """The storage that a peer's processes share."""
    import optuna
    from optuna.storages.journal import JournalRedisBackend

    if system == "rdb":
        return optuna.storages.RDBStorage(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.storages.JournalStorage(JournalRedisBackend(url))


def run_peer(studies: PeerStudies, system: str, *, size: int, n_workers: int, n_trials: int) -> PeerRun:
    """Time `n_trials` more trials by processes that have joined and made a trial before the clock starts."""
    name = studies.fresh(system, size)
    each = max(1, n_trials // n_workers)
    workers = [
        subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(n_workers)
    ]
    for worker in workers:  # the URL holds a password: through the pipe, not on the command line
        worker.stdin.write(json.dumps({"system": system, "url": studies.urls[system], "study": name, "n": each}) + "\n")
    for worker in workers:
        if worker.stdout.readline().strip() != "ready":
            raise RuntimeError("a peer's process did not start")
    for worker in workers:
        worker.stdin.write("go\n")
    slowest = max(float(worker.stdout.readline()) for worker in workers)
    for worker in workers:
        worker.stdin.close()
        worker.wait()
        worker.stdout.close()
    return PeerRun(system=system, size=size, n_workers=n_workers, ms_per_trial=1000 * slowest / (each * n_workers))


def _work() -> None:
    import time

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = json.loads(sys.stdin.readline())
    storage = storage_of(task["system"], task["url"])
    study = optuna.load_study(study_name=task["study"], storage=storage, sampler=optuna.samplers.NSGAIISampler())
    study.optimize(objective, n_trials=1)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    study.optimize(objective, n_trials=task["n"])
    print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    _work()
