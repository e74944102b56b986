"""Trials out of the database, and their weights out of the artifact store and into it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from torch import nn

from nasd.app.endpoints import Endpoints
from nasd.app.reading import StudyArgument, connected, endpoints, known_study, known_trial
from nasd.app.users import in_folder
from nasd.artifacts import open_store
from nasd.config import Settings
from nasd.domain.architecture import Architecture
from nasd.domain.artifact import WEIGHTS, ArtifactRef
from nasd.domain.data import DataFacts
from nasd.errors import Unavailable, UserError, WorldFault
from nasd.exporting.formats import save_weights
from nasd.exporting.trial import TrialRecord
from nasd.ports.artifacts import ArtifactStore
from nasd.store import artifacts, views
from nasd.studyfile import spec_from_json


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where weights are kept for the next time; whoever may only read the database keeps none."""

    store: ArtifactStore
    found: Endpoints

    @contextmanager
    def fetched(self, ref: ArtifactRef) -> Iterator[Path | None]:
        """The file within the block; None where the store does not have it, or not whole."""
        with tempfile.TemporaryDirectory(prefix="nasd-weights-") as folder:
            path: Path | None = Path(folder) / "weights.safetensors"
            try:
                assert path is not None
                self.store.get(ref.sha256, path)
            except WorldFault:
                path = None
            yield path

    def keep(self, trial: TrialRecord, module: nn.Module) -> str | None:
        """Store a trained network's weights as the trial's; why not, where that fails: the export is worth more."""
        try:
            with tempfile.TemporaryDirectory(prefix="nasd-weights-") as folder:
                path = Path(folder) / "weights.safetensors"
                save_weights(module, path, trial)
                ref = ArtifactRef(WEIGHTS, *self.store.put(path))
            with connected(self.found, "controller") as connection:
                artifacts.keep(connection, trial.study, trial.number, ref)
        except (WorldFault, Unavailable, psycopg.Error) as error:
            return str(error)
        return None


@contextmanager
def stored_trial(
    settings: Settings, argument: str, number: int, *, folder: Path | None = None
) -> Iterator[tuple[TrialRecord, Shelf]]:
    """A trial, and the shelf of its weights; within, relative paths and users' packages begin in the study's folder.

    Args:
        settings: of this process.
        argument: the study's name or file.
        number: the trial's.
        folder: where users' packages and files are; None: the study file's folder, or the current one.

    Raises:
        UserError: there is no such study or trial.
        Unavailable: the database can't be reached.
    """
    named = StudyArgument.parse(argument)
    place = folder or (named.file.parent if named.file else Path())
    with endpoints(settings, named.file) as found:
        trial = _read(found, named.name, number)
        store = open_store(
            settings.artifacts_url,
            found.home,
            settings.artifacts_token,
            ca=settings.artifacts_ca,
            quota_bytes=settings.artifacts_quota_mib << 20,
        )
        with in_folder(place):
            yield trial, Shelf(store, found)


def _read(found: Endpoints, name: str, number: int) -> TrialRecord:
    with connected(found, "reader") as connection:
        study = known_study(connection, name)
        row = known_trial(connection, study, number)
        facts = connection.execute("select data from nasd.studies where study = %s", [name]).fetchone()
        measured = views.measurements(connection, name, number)
        fronts = views.memberships(connection, name, number)
    spec = spec_from_json(study.spec)
    assert facts is not None
    if facts[0] is None:
        raise UserError(f'study "{name}" has no data, so that nasd knows no network of its trials')
    genes, seed, steps, values = row["architecture"], row["seed"], row["fidelity"], row["objectives"]
    assert isinstance(genes, Mapping)
    assert isinstance(values, Mapping)
    assert isinstance(seed, int)
    assert isinstance(steps, int)
    return TrialRecord(
        study=name,
        number=number,
        spec=spec,
        facts=DataFacts.from_json(facts[0]),
        architecture=Architecture.of(spec.space.kind, genes),
        seed=seed,
        steps=steps,
        state=str(row["state"]),
        operator=str(row["operator"]),
        recipe=str(row["recipe"]),
        measurements=[each for each in measured if each["status"] == "current"],
        fronts=[str(each["device_kind"]) for each in fronts if each["left_seq"] is None],
        weights=_weights(found, name, number),
        values=values,
    )


def _weights(found: Endpoints, name: str, number: int) -> ArtifactRef | None:
    """What is stored of the trained network; None too for who may read the views alone."""
    try:
        with connected(found, "controller") as connection:
            return artifacts.weights_of(connection, name, number)
    except psycopg.errors.InsufficientPrivilege:
        return None
