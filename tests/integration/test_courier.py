"""The courier between a worker's child and the artifact store: real files, a real endpoint, a real worker."""

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fakes_lease import MemoryLeaseStore
from workers_scene import info, recipe, settings

from nasd.artifacts import open_archive, open_store
from nasd.artifacts.endpoint import ArtifactEndpoint
from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.ids import EvaluationId, StudyId, TrialNumber
from nasd.domain.measurement import Outcome, OutcomeKind, Stage
from nasd.errors import ArtifactsAway, WorldFault
from nasd.ports.lease import Lease
from workers.assignment import Assignment, outcome_from_json, outcome_to_json
from workers.courier import Courier
from workers.serving import serve
from workers.spool import Spool
from workers.stop import Stop


def ref(content, name="onnx"):
    return ArtifactRef(name, hashlib.sha256(content).hexdigest(), len(content))


def lease(*artifacts):
    return Lease(
        evaluation_id=EvaluationId(1),
        token="secret",
        attempt=1,
        duration_s=30.0,
        study_id=StudyId(1),
        study_name="toy",
        trial_number=TrialNumber(0),
        stage=Stage.MEASURE,
        device_kind="pi5",
        replicate=0,
        seed=1,
        fidelity=0,
        architecture=Architecture.of("toy", {"x": 1}),
        artifacts=artifacts,
    )


class Scene:
    """A courier with its archive; waits are counted, not waited for."""

    def __init__(self, tmp_path, *, cache_bytes=1 << 20) -> None:
        self.home, self.archive, self.waited = tmp_path / "home", open_archive(None, tmp_path / "there"), []
        self.is_stopping = False
        self.courier = self.with_store(self.archive, cache_bytes=cache_bytes)

    def with_store(self, store, *, cache_bytes=1 << 20):
        return Courier(
            store,
            self.home,
            cache_bytes=cache_bytes,
            wait=self.waited.append,
            is_stopping=lambda: self.is_stopping,
        )

    def put(self, content, name="onnx"):
        path = self.home.parent / "made"
        path.write_bytes(content)
        self.archive.put(path)
        return ref(content, name)

    def cached(self):
        folder = self.home / "artifacts-cache"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


class Away:
    """A store that is away `n` times, then the real one."""

    def __init__(self, store, n) -> None:
        self._store, self.n_left, self.n_asked = store, n, 0

    def _ask(self):
        self.n_asked += 1
        if self.n_left > 0:
            self.n_left -= 1
            raise ArtifactsAway("there", "connection refused")
        return self._store

    def get(self, sha256, into):
        self._ask().get(sha256, into)

    def put(self, path):
        return self._ask().put(path)


def test_what_a_lease_names_is_fetched_once(scene):
    """A measure of five rounds must not carry the network over a slow line five times."""
    wanted = scene.put(b"network")
    counted = Away(scene.archive, 0)
    courier = scene.with_store(counted)

    paths = [courier.fetch(lease(wanted))["onnx"] for _ in range(3)]

    assert counted.n_asked == 1
    assert len(set(paths)) == 1
    assert Path(paths[0]).read_bytes() == b"network"


def test_a_lease_without_artifacts_touches_no_disk(scene):
    assert scene.courier.fetch(lease()) == {}
    assert not scene.home.exists()


@pytest.mark.parametrize("damage", [b"netw0rk", b"", b"network and more"])
def test_a_damaged_cache_is_fetched_anew(scene, damage):
    """An SD card that lies must not be measured."""
    wanted = scene.put(b"network")
    Path(scene.courier.fetch(lease(wanted))["onnx"]).write_bytes(damage)

    assert Path(scene.courier.fetch(lease(wanted))["onnx"]).read_bytes() == b"network"


def test_a_missing_or_damaged_artifact_is_told_at_once_and_in_a_word(scene):
    """Waiting would not bring it back; the controller is told what to do."""
    wanted = ref(b"never put")
    with pytest.raises(WorldFault) as fault:
        scene.courier.fetch(lease(wanted))
    assert fault.value.kind == "artifact_missing"

    damaged = scene.put(b"network")
    (scene.home.parent / "there" / "artifacts" / damaged.sha256[:2] / damaged.sha256).write_bytes(b"netw0rk")
    with pytest.raises(WorldFault) as fault:
        scene.courier.fetch(lease(damaged))
    assert fault.value.kind == "artifact_corrupt"
    assert scene.waited == []


def test_a_store_that_is_away_is_waited_for_a_little(scene):
    """Its lease is renewed meanwhile; a restart of the controller costs no attempt."""
    wanted = scene.put(b"network")
    assert scene.with_store(Away(scene.archive, 2)).fetch(lease(wanted)).keys() == {"onnx"}
    assert len(scene.waited) == 2


def test_a_store_that_stays_away_is_the_worlds_fault(scene):
    wanted, away = scene.put(b"network"), Away(scene.archive, 99)
    with pytest.raises(WorldFault) as fault:
        scene.with_store(away).fetch(lease(wanted))
    assert fault.value.kind == "artifacts_away"
    assert away.n_asked == 4


def test_a_worker_that_is_to_leave_does_not_wait(scene):
    wanted, scene.is_stopping = scene.put(b"network"), True
    with pytest.raises(ArtifactsAway):
        scene.with_store(Away(scene.archive, 99)).fetch(lease(wanted))
    assert scene.waited == []


def test_the_cache_keeps_what_was_used_last(tmp_path):
    """A board's card is small; a search exports thousands of networks."""
    scene = Scene(tmp_path, cache_bytes=25_000)
    refs = [scene.put(bytes([n]) * 10_000) for n in range(4)]
    for n, each in enumerate(refs[:3]):
        path = scene.courier.fetch(lease(each))["onnx"]
        os.utime(path, (1000.0 + n, 1000.0 + n))
    os.utime(scene.home / "artifacts-cache" / refs[1].sha256, (5000.0, 5000.0))

    scene.courier.fetch(lease(refs[3]))

    assert scene.cached() == {refs[1].sha256, refs[3].sha256}


def test_what_an_evaluation_leaves_behind_is_stored_and_the_outbox_is_emptied(scene):
    outbox = scene.courier.outbox()
    (outbox / "model.onnx").write_bytes(b"network")
    (outbox / "notes.txt").write_bytes(b"not named, so not stored")

    assert scene.courier.deliver({"onnx": "model.onnx"}) == (ref(b"network"),)
    scene.courier.clear()

    assert [one.sha256 for one in scene.archive.stored()] == [ref(b"network").sha256]
    assert not list((scene.home / "outbox").iterdir())


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "link", "folder", "", ".", "gone"])
def test_only_plain_files_of_the_outbox_are_stored(scene, file):
    """Users' code runs beside the stage that names them: it must not publish the worker's spool, with its tokens."""
    outbox = scene.courier.outbox()
    (scene.home / "outbox" / "secret").write_text("token")
    (outbox / "link").symlink_to(scene.home / "outbox" / "secret")
    (outbox / "folder").mkdir()
    with pytest.raises(WorldFault, match="outbox"):
        scene.courier.deliver({"onnx": file})
    assert list(scene.archive.stored()) == []


@pytest.mark.parametrize("name", ["", "../x", "ONNX", "a" * 41, "a b", "-x"])
def test_a_format_has_a_plain_name(scene, name):
    (scene.courier.outbox() / "f").write_bytes(b"x")
    with pytest.raises(WorldFault):
        scene.courier.deliver({name: "f"})


def test_a_spooled_outcome_keeps_its_artifacts(tmp_path):
    """It may be delivered by another process, after the outbox is gone."""
    spool, made = Spool(tmp_path / "spool"), ref(b"network")
    outcome = Outcome(OutcomeKind.COMPLETED, artifacts=(made,))
    spool.put(lease(made), outcome)

    ((_, read_lease, read_outcome),) = spool.waiting()

    assert (read_lease, read_outcome) == (lease(made), outcome)
    assert outcome_from_json(outcome_to_json(outcome)) == outcome


def test_an_assignment_carries_paths_and_no_token(scene):
    told = Assignment.of(lease(ref(b"network")), artifacts={"onnx": "/cache/x"}, outbox="/out")
    assert Assignment.from_json(told.to_json()) == told
    assert "secret" not in str(told.to_json())
    assert "artifacts" not in Assignment.of(lease()).to_json()


class Leasing(MemoryLeaseStore):
    """Every lease names these artifacts."""

    artifacts: tuple[ArtifactRef, ...] = ()

    def lease_next(self, worker):
        found = super().lease_next(worker)
        return None if found is None else replace(found, artifacts=self.artifacts)


def test_a_worker_fetches_through_the_endpoint_before_it_evaluates(tmp_path, monkeypatch, wait_until):
    """The whole worker: a board that sees the controller's endpoint and nothing else.

    A missing artifact is a new attempt with its reason, not an evaluation without the network.
    """
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    archive = open_archive(None, tmp_path / "there")
    (tmp_path / "made").write_bytes(b"network")
    archive.put(tmp_path / "made")
    endpoint = ArtifactEndpoint(archive, lambda token: token == "mine")
    store, stop = Leasing(), Stop()
    study = store.add_study(recipe("arithmetic"))
    url = {"artifacts_url": f"http://127.0.0.1:{endpoint.port}", "artifacts_token": "mine"}
    worker = threading.Thread(
        target=serve,
        args=(store, None, info(), settings(tmp_path / "here").model_copy(update=url)),
        kwargs={"stop": stop, "lock_directory": tmp_path},
        daemon=True,
    )
    store.artifacts = (ref(b"network"),)
    first = store.add(study)
    worker.start()
    wait_until(lambda: store.row(first).state == "completed", what="the evaluation with its artifact")
    store.artifacts = (ref(b"nowhere"),)
    second = store.add(study)
    wait_until(lambda: store.row(second).state == "failed", what="all attempts without it")
    stop.request()
    worker.join(timeout=20)
    endpoint.close()

    assert (tmp_path / "here" / "artifacts-cache" / ref(b"network").sha256).read_bytes() == b"network"
    assert store.row(second).outcome.reason == "artifact_missing"


def test_an_outage_of_the_store_spends_no_attempt(tmp_path, monkeypatch, wait_until):
    """A minute without the controller must not cost a board its measurements for good."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.setattr("workers.session.AWAY_S", 0.2)
    monkeypatch.setattr("workers.courier._WAITS_S", (0.05,))
    archive = open_archive(None, tmp_path / "there")
    (tmp_path / "made").write_bytes(b"network")
    archive.put(tmp_path / "made")
    endpoint = ArtifactEndpoint(archive, lambda token: token == "mine")
    port = endpoint.port
    endpoint.close()
    store, stop = Leasing(), Stop()
    store.artifacts = (ref(b"network"),)
    waiting = store.add(store.add_study(recipe("arithmetic")))
    url = {"artifacts_url": f"http://127.0.0.1:{port}", "artifacts_token": "mine"}
    worker = threading.Thread(
        target=serve,
        args=(store, None, info(), settings(tmp_path / "here").model_copy(update=url)),
        kwargs={"stop": stop, "lock_directory": tmp_path},
        daemon=True,
    )
    worker.start()
    wait_until(lambda: store.row(waiting).attempt > 4, what="more tries than it has attempts")
    endpoint = ArtifactEndpoint(archive, lambda token: token == "mine", port=port)
    wait_until(lambda: store.row(waiting).state == "completed", what="the evaluation once the store is back")
    stop.request()
    worker.join(timeout=20)
    endpoint.close()


def test_open_store_is_what_a_worker_uses_by_default(tmp_path):
    """`nasd run` on one machine needs no setting: its processes share a home."""
    (tmp_path / "f").write_bytes(b"x")
    sha256, _ = open_store(None, tmp_path / "home").put(tmp_path / "f")
    assert (tmp_path / "home" / "artifacts" / sha256[:2] / sha256).exists()
