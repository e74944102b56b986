"""A network made on one machine and measured on another: two workers that share the database and an endpoint."""

import hashlib
import os
import subprocess
import sys

from nasd import data
from nasd.artifacts import open_archive
from nasd.artifacts.endpoint import ArtifactEndpoint, by_digests
from nasd.domain.architecture import Architecture
from nasd.domain.devices import DeviceSpec, Runtime
from nasd.domain.history import Proposal
from nasd.domain.ids import ANYWHERE, DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec
from nasd.ports.trials import NewEvaluation, NewTrial, Step

EDGE = DeviceKind("edge")
SPEC = StudySpec(
    name="edge",
    objectives={"latency_ms": ObjectiveSpec(on=(EDGE,)), "params": ObjectiveSpec()},
    devices={EDGE: DeviceSpec(runtime=Runtime.ONNX)},
    budget=BudgetSpec(trials=1),
)
NETWORK = Architecture.of(
    "mlp", {"layers": 2, "widths": (128, 128), "activation": "relu", "norm": "none", "dropout": 0.0}
)


def work(scene, home, port, *options):
    """One worker process that leaves when nothing is left for it."""
    environment = {
        "NASD_DATABASE_URL": scene.database.worker,
        "NASD_HOME": str(home),
        "NASD_ARTIFACTS_URL": f"http://127.0.0.1:{port}",
        "NASD_ARTIFACTS_TOKEN": "mine",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "--once", *options],
        env=os.environ | environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_a_network_is_exported_here_and_measured_there(scene, tmp_path):
    """What the board runs is, byte for byte, what the other machine exported, though they share no disk."""
    study = scene.studies.create(SPEC, data.describe(SPEC.data))
    trial = NewTrial(
        number=TrialNumber(0),
        proposal=Proposal(NETWORK, "sample"),
        proposed_from=LearnedSeq(0),
        strategy="random",
        strategy_version="random-1",
        fidelity=0,
        seed=3,
        counts={"params": 1, "flops": 1},
        evaluations=(
            NewEvaluation(Stage.EXPORT, ANYWHERE, 50),
            NewEvaluation(Stage.MEASURE, EDGE, 10, awaits="onnx"),
        ),
    )
    scene.trials.apply(scene.epoch, Step(study=study, trials=(trial,)))
    archive = open_archive(None, tmp_path / "controller")
    digest = hashlib.sha256(b"mine").hexdigest()
    endpoint = ArtifactEndpoint(archive, by_digests(lambda: {digest}))

    work(scene, tmp_path / "board", endpoint.port, "--device-kind", EDGE, "--stages", "measure")
    assert scene.states() == {"export": "queued", "measure": "queued"}  # there is nothing to run yet
    work(scene, tmp_path / "box", endpoint.port, "--stages", "export")
    assert scene.states() == {"export": "completed", "measure": "queued"}
    log = work(scene, tmp_path / "board", endpoint.port, "--device-kind", EDGE, "--stages", "measure")
    endpoint.close()

    assert scene.states() == {"export": "completed", "measure": "completed"}, log
    ((format_, sha256, n_bytes),) = scene.database.rows("select format, sha256, n_bytes from nasd_core.artifact")
    assert [(one.sha256, one.n_bytes) for one in archive.stored()] == [(sha256, n_bytes)]
    assert format_ == "onnx"
    cached = tmp_path / "board" / "artifacts-cache" / sha256
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == sha256
    assert not list((tmp_path / "box" / "outbox").iterdir())
    ((kind, runtime),) = scene.database.rows(
        "select device_kind, conditions ->> 'runtime' from measurements where name = 'latency_ms'"
    )
    assert (kind, runtime) == (EDGE, "onnxruntime")
