"""The way of a network to a device without torch: exported by one child, measured by another without torch."""

from contextlib import closing
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from export_scene import IMAGES, KINDS, MIXTURE, MLP, TOKENS, Child, exported_here, study, transformer

from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts, Problem
from nasd.domain.devices import DeviceSpec, Runtime
from nasd.domain.measurement import OutcomeKind, Stage
from nasd.errors import CandidateFault
from nasd.nets import build_module
from nasd.nets.counting import example_inputs
from nasd.runtimes.onnx import predict
from nasd.runtimes.onnx_export import export_onnx

# A site's own customisation is imported by every Python that starts: here one that has no torch.
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "scipy", "onnx", "onnxscript"}:
            raise ModuleNotFoundError(f"{name} is not on this board", name=name)
sys.meta_path.insert(0, Blocker())
"""
FACTS = DataFacts(
    name="digits", seed=0, input_shape=(1, 8, 8), n_outputs=10, n_train=9, n_validation=9, n_test=9, trivial_error=0.9
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every format of one MLP."""
    with closing(Child(tmp_path_factory.mktemp("export"), study(KINDS))) as torch_worker:
        outcome = torch_worker.run(Stage.EXPORT, MLP)
        assert (outcome.kind, outcome.message) == (OutcomeKind.COMPLETED, None)
        return torch_worker.files()


@pytest.fixture
def no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started from here on can't import torch, sklearn, scipy or onnx."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_every_format_that_a_kind_of_the_study_runs_is_made(exported: dict[str, str]) -> None:
    """No more: a file costs its way to the store."""
    assert sorted(exported) == ["onnx", "onnx-fp16", "onnx-int8"]
    session = ort.InferenceSession(exported["onnx"])
    assert [each.name for each in (*session.get_inputs(), *session.get_outputs())] == ["input", "output"]


def test_the_file_answers_as_the_trials_own_network_does(exported: dict[str, str]) -> None:
    """Weights from the evaluation's seed: what is measured is the network that the trial is."""
    module = build_module(MLP, problem=IMAGES, seed=5).eval()
    inputs = example_inputs(IMAGES, 7, seed=3)
    with torch.no_grad():
        assert np.abs(predict(Path(exported["onnx"]), inputs.numpy()) - module(inputs).numpy()).max() <= 1e-4


def test_a_trial_has_the_same_file_whoever_exports_it(exported: dict[str, str], tmp_path: Path) -> None:
    """Files are named by their content; the exporter's notes of this machine's folders would make them differ."""
    _, files = exported_here(tmp_path, study({"board": KINDS["board"]}), MLP)
    content = files["onnx"].read_bytes()
    assert Path(exported["onnx"]).read_bytes() == content
    assert str(Path(torch.__file__).parent).encode() not in content
    assert str(Path(__file__).parents[2]).encode() not in content


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_child_without_torch_measures_an_exported_network(
    exported: dict[str, str], no_torch: None, tmp_path: Path, kind: str
) -> None:
    """A board installs onnxruntime alone. Each number says what it is of."""
    with closing(Child(tmp_path, study(KINDS), facts=FACTS)) as board:
        outcome = board.run(Stage.MEASURE, MLP, kind, artifacts=exported)
    assert (outcome.kind, outcome.message) == (OutcomeKind.COMPLETED, None)
    (latency,) = outcome.measurements
    device = KINDS[kind]
    expected = {
        "runtime": "onnxruntime", "provider": "cpu", "device": "cpu", "precision": str(device.precision),
        "batch": device.batch or 1, "threads": 1, "onnxruntime": ort.__version__,
    }  # fmt: skip
    assert {name: latency.conditions[name] for name in expected} == expected
    assert (latency.name, latency.unit) == ("latency_ms", "ms")
    assert latency.value > 0
    facts = latency.conditions["artifact"]
    assert isinstance(facts, dict)
    assert float(facts["max_abs_error"]) <= 1e-4
    assert ("quantisation" in facts) == (kind == "bytes")


def test_the_same_child_without_torch_refuses_to_measure_an_eager_kind(no_torch: None, tmp_path: Path) -> None:
    """It is the world's fault, not the candidate's: a worker with torch does it."""
    with closing(Child(tmp_path, study({"laptop": DeviceSpec()}), facts=FACTS)) as board:
        outcome = board.run(Stage.MEASURE, MLP, "laptop")
    assert outcome.kind is OutcomeKind.FAILED
    assert "torch" in str(outcome.message)


def test_memory_on_a_device_is_what_a_process_takes(exported: dict[str, str], tmp_path: Path) -> None:
    """Asked for by an objective; the weights are in it at the least."""
    spec = study({"board": KINDS["board"]}, objectives=("latency_ms", "peak_memory_bytes"))
    with closing(Child(tmp_path, spec)) as board:
        outcome = board.run(Stage.MEASURE, MLP, "board", artifacts=exported)
    found = {each.name: each for each in outcome.measurements}
    assert set(found) == {"latency_ms", "peak_memory_bytes"}
    memory = found["peak_memory_bytes"]
    assert memory.conditions["counted"] == "process"
    assert Path(exported["onnx"]).stat().st_size < memory.value < 200e6


def test_a_trial_without_its_file_is_the_worlds_fault(tmp_path: Path) -> None:
    """Another attempt may come after the export."""
    with closing(Child(tmp_path, study(KINDS))) as board:
        outcome = board.run(Stage.MEASURE, MLP, "board", artifacts={"onnx-int8": "/nowhere"})
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "artifact_missing")


def test_a_provider_that_is_not_here_is_refused(exported: dict[str, str], tmp_path: Path) -> None:
    """Never measured on the wrong processor."""
    spec = study({"orin": DeviceSpec(runtime=Runtime.ONNX, provider="cuda")})
    with closing(Child(tmp_path, spec)) as board:
        outcome = board.run(Stage.MEASURE, MLP, "orin", artifacts=exported)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "wrong_processor")


@pytest.mark.parametrize("build", ["user_models:build", "user_models:SearchMLP"])
def test_a_users_module_is_exported_and_counted(tmp_path: Path, build: str) -> None:
    """The first stage that builds it counts it: an exporting worker does, where a board measures."""
    genes = {"x": 3, "hidden_dims": (5, 4), "activation": "relu"}
    spec = study({"board": KINDS["board"]}, build=build)
    measured, files = exported_here(tmp_path, spec, Architecture.of("custom", genes), allow=("user_models",))
    assert {each.name for each in measured} == {"params", "flops"}
    assert predict(files["onnx"], np.zeros((3, 1, 8, 8), np.float32)).shape == (3, 10)


def test_what_torch_cannot_export_is_the_candidates_fault(tmp_path: Path) -> None:
    """The strategy learns from it; the message names what is in the way."""
    spec = study({"board": KINDS["board"]}, build="user_models:unexportable")
    with pytest.raises(CandidateFault, match="can't export") as caught:
        exported_here(tmp_path, spec, Architecture.of("custom", {"x": 3}), allow=("user_models",))
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize("experts", [{}, MIXTURE], ids=["dense", "mixture"])
@pytest.mark.parametrize("problem", [IMAGES, TOKENS], ids=["images", "tokens"])
def test_transformers_are_exported_for_any_batch(tmp_path: Path, experts: dict[str, object], problem: Problem) -> None:
    """Tokens are whole numbers, experts are chosen by what is computed."""
    module = build_module(transformer(problem, **experts), problem=problem, seed=1)
    done = export_onnx(module, example_inputs(problem, 1), tmp_path / "net.onnx")
    assert module.training
    assert done.batch is None
    inputs = example_inputs(problem, 5, seed=9)
    with torch.no_grad():
        expected = module.eval()(inputs).numpy()
    assert np.abs(predict(tmp_path / "net.onnx", inputs.numpy()) - expected).max() <= 1e-4


def test_a_board_measures_a_users_network_without_the_users_package(
    exported: dict[str, str], no_torch: None, tmp_path: Path
) -> None:
    """The file holds the network; no code of the user's runs there, and none is asked for."""
    spec = study({"board": KINDS["board"]}, build="user_models:build")
    with closing(Child(tmp_path, spec, facts=FACTS)) as board:
        outcome = board.run(Stage.MEASURE, Architecture.of("custom", {"x": 3}), "board", artifacts=exported)
        assert (outcome.kind, outcome.message) == (OutcomeKind.COMPLETED, None)
        refused = board.run(Stage.TRAIN, Architecture.of("custom", {"x": 3}))
    assert (refused.kind, refused.reason) == (OutcomeKind.FAILED, "not_allowed")
