"""Runtimes run what they are given, on the processor that was asked for, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from export_scene import IMAGES, MLP
from torch import nn

from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.errors import CandidateFault, WorldFault
from nasd.nets import build_module
from nasd.nets.counting import example_inputs
from nasd.runtimes import offers
from nasd.runtimes.inputs import random_inputs
from nasd.runtimes.onnx import PROVIDERS, open_onnx, open_session, predict
from nasd.runtimes.onnx_convert import to_int8
from nasd.runtimes.onnx_export import export_onnx
from nasd.runtimes.torch_runner import TorchRunner, open_module, placed

ONNX = DeviceSpec(runtime=Runtime.ONNX, batch=3, threads=1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLP."""
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    export_onnx(build_module(MLP, problem=IMAGES, seed=1), example_inputs(IMAGES, 1), path)
    return path


def runner(runtime: Runtime, **more: object) -> TorchRunner:
    device = DeviceSpec(runtime=runtime, batch=2, threads=1, **more)  # type: ignore[arg-type]
    return open_module(placed(build_module(MLP, problem=IMAGES, seed=1), IMAGES, device, seed=4))


@pytest.mark.parametrize("runtime", [Runtime.EAGER, Runtime.COMPILE, Runtime.EXPORT])
def test_torchs_runtimes_run_the_network_and_say_how(runtime: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    """A number without its runtime, precision, batch and threads compares with nothing."""
    with closing(runner(runtime)) as opened:
        opened.run()
        answers = opened._forward(opened._inputs)
        conditions = dict(opened.conditions)
    module = build_module(MLP, problem=IMAGES, seed=1).eval()
    with torch.no_grad():
        expected = module(example_inputs(IMAGES, 2, seed=4))
    assert torch.allclose(answers, expected, atol=1e-5)  # type: ignore[arg-type]
    expected_conditions = {"runtime": str(runtime), "device": "cpu", "precision": "fp32", "batch": 2, "threads": 1}
    assert {name: conditions[name] for name in expected_conditions} == expected_conditions
    assert conditions.get("compiler") == {Runtime.COMPILE: "inductor", Runtime.EXPORT: "aotinductor"}.get(runtime)
    assert capfd.readouterr().out == ""


def test_a_closed_runner_leaves_torch_as_it_found_it() -> None:
    """The next evaluation of this process may be a training."""
    before = torch.get_num_threads()
    device = DeviceSpec(runtime=Runtime.EAGER, threads=before + 1)
    opened = open_module(placed(build_module(MLP, problem=IMAGES, seed=1), IMAGES, device, seed=4))
    assert (torch.get_num_threads(), torch.is_inference_mode_enabled()) == (before + 1, True)
    opened.close()
    assert (torch.get_num_threads(), torch.is_inference_mode_enabled()) == (before, False)


def test_a_runner_that_could_not_be_opened_leaves_torch_as_it_found_it() -> None:
    """A candidate's fault must not reach into the next candidate."""

    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        open_module(placed(Fails(), IMAGES, DeviceSpec(), seed=1))
    assert not torch.is_inference_mode_enabled()


def test_half_precision_is_half_of_the_bytes() -> None:
    """Weights and inputs both."""
    whole, half = (
        placed(build_module(MLP, problem=IMAGES, seed=1), IMAGES, DeviceSpec(precision=precision), seed=4)
        for precision in (DevicePrecision.FP32, DevicePrecision.FP16)
    )
    assert half.inputs.dtype == torch.float16
    weights = [sum(p.numel() * p.element_size() for p in each.module.parameters()) for each in (whole, half)]
    assert weights[0] == 2 * weights[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_torch_refuses_a_processor_that_is_not_here() -> None:
    """Never measured on the wrong processor."""
    with pytest.raises(WorldFault, match="cuda") as caught:
        placed(build_module(MLP, problem=IMAGES, seed=1), IMAGES, DeviceSpec(provider="cuda"), seed=1)
    assert caught.value.kind == "wrong_processor"


def test_a_kinds_batch_and_threads_reach_onnxruntime(file: Path) -> None:
    """One file serves every batch; the session knows its own ahead."""
    with closing(open_onnx(file, ONNX, IMAGES, seed=1)) as opened:
        opened.run()
        found = opened.output()
        conditions = dict(opened.conditions)
    expected = predict(file, random_inputs(IMAGES, 3, seed=1))
    assert np.abs(found - expected).max() < 1e-5
    assert (conditions["batch"], conditions["threads"]) == (3, 1)
    assert open_session(file, batch=3, threads=2).get_session_options().intra_op_num_threads == 2


@pytest.mark.parametrize("provider", sorted({"cuda", "tensorrt", "coreml"}))
def test_onnxruntime_refuses_a_provider_that_is_not_here(file: Path, provider: str) -> None:
    """Onnxruntime itself warns and takes the processor."""
    if PROVIDERS[provider] in ort.get_available_providers():
        pytest.skip(f"{provider} is here")
    with pytest.raises(WorldFault, match=provider) as caught:
        open_session(file, provider=provider)
    assert caught.value.kind == "wrong_processor"


def test_onnxruntime_refuses_to_give_a_providers_nodes_to_the_processor(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Azure's provider is in every build and runs none of a network's nodes: without the refusal the processor does."""
    azure = "AzureExecutionProvider"
    assert azure in ort.get_available_providers()
    assert ort.InferenceSession(file, providers=[azure]).get_inputs()[0].name == "input"
    monkeypatch.setitem(PROVIDERS, "azure", azure)  # type: ignore[arg-type]
    with pytest.raises(WorldFault, match="fallback to CPU") as caught:
        open_session(file, provider="azure")
    assert caught.value.kind == "wrong_processor"
    assert capfd.readouterr().err == ""


def test_a_network_whose_code_looks_at_the_batch_is_exported_for_that_batch_alone(tmp_path: Path) -> None:
    """And refused where a kind takes another one: it would be another network."""

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(3, 64)[:, :10]

    path = tmp_path / "fixed.onnx"
    assert export_onnx(Fixed(), example_inputs(IMAGES, 3), path).batch == 3
    with closing(open_onnx(path, ONNX, IMAGES, seed=1)) as opened:
        assert opened.n_samples == 3
    with pytest.raises(CandidateFault, match="batch of 3 alone"):
        open_onnx(path, DeviceSpec(runtime=Runtime.ONNX, batch=1), IMAGES, seed=1)
    to_int8(path, tmp_path / "int8.onnx", random_inputs(IMAGES, 6, seed=1))  # whole batches of three
    assert predict(tmp_path / "int8.onnx", random_inputs(IMAGES, 6, seed=1)).shape == (6, 10)


def test_an_export_whose_answers_differ_is_refused(tmp_path: Path) -> None:
    """The exporter may translate wrongly, and nobody would see it later."""

    class Trickster(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shift = 0.0 if torch.compiler.is_exporting() else 0.01
            return x.flatten(1)[:, :10] + shift

    with pytest.raises(CandidateFault, match="answers otherwise") as caught:
        export_onnx(Trickster(), example_inputs(IMAGES, 2), tmp_path / "net.onnx")
    assert caught.value.kind == "unsupported"


def test_int8_weights_take_a_quarter_and_the_file_says_what_became_of_the_answers(file: Path, tmp_path: Path) -> None:
    """Calibrated on samples; a user sees the loss before it is deployed."""
    path = tmp_path / "int8.onnx"
    to_int8(file, path, random_inputs(IMAGES, 64, seed=1))
    assert path.stat().st_size < 0.6 * file.stat().st_size
    with closing(open_onnx(path, ONNX, IMAGES, seed=1)) as opened:
        facts = opened.conditions["artifact"]
    assert isinstance(facts, dict)
    assert facts["quantisation"] == "static"
    assert float(facts["same_answers"]) > 0.5
    assert 0 < float(facts["converted_max_abs_error"]) < 1


def test_offers_are_found_without_importing_what_they_offer() -> None:
    """A worker registers in milliseconds, and its own process stays small."""
    code = (
        "import sys; from nasd.runtimes import offers; found = offers(); "
        "print(*found); sys.exit(str([m for m in ('torch', 'onnxruntime', 'onnx') if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert {"torch", "torch-eager", "torch-export", "onnxruntime"} <= set(done.stdout.split())


def test_a_runtime_is_offered_for_the_processors_it_has_here() -> None:
    """What a device kind asks for must be among a worker's words."""
    found = offers()
    assert DeviceSpec().offer in found
    assert DeviceSpec(provider="cpu").offer in found
    assert DeviceSpec(runtime=Runtime.ONNX).offer in found
    assert (DeviceSpec(provider="cuda").offer in found) == torch.cuda.is_available()


@pytest.mark.skipif(importlib.util.find_spec("executorch") is None, reason="executorch is not installed")
def test_executorch_runs_what_was_lowered_for_its_batch(tmp_path: Path) -> None:
    """Where it is installed; another batch is refused."""
    from nasd.runtimes.executorch import export_pte, open_pte

    path = tmp_path / "net.pte"
    assert export_pte(build_module(MLP, problem=IMAGES, seed=1), example_inputs(IMAGES, 2), path) <= 1e-4
    with closing(open_pte(path, DeviceSpec(runtime=Runtime.EXECUTORCH, batch=2, threads=1), IMAGES, seed=1)) as opened:
        opened.run()
        assert (opened.n_samples, opened.conditions["threads"]) == (2, 1)
    with pytest.raises(CandidateFault, match="batch of 2"):
        open_pte(path, DeviceSpec(runtime=Runtime.EXECUTORCH, batch=1), IMAGES, seed=1)
