"""`nasd export` and the library calls beside it, on a study in the real database: trained, exported, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from nasd import data, spaces
from nasd.domain.architecture import Architecture
from nasd.domain.devices import DevicePrecision
from nasd.domain.history import Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.seeding import evaluation_seed
from nasd.domain.study import BudgetSpec, DataSpec, ModelSpec, ObjectiveSpec, SpaceSpec, StudySpec, TrainSpec
from nasd.errors import UserError
from nasd.exporting import build, load
from nasd.exporting.export import export, split_of
from nasd.exporting.formats import Format
from nasd.exporting.trained import initial, train_again
from nasd.exporting.trial import TrialRecord
from nasd.nets.runtime import threads
from nasd.ports.trials import NewEvaluation, NewTrial, Step
from nasd.training import train

SPEC = StudySpec(
    name="kitchen",
    train=TrainSpec(steps=30),
    objectives={"val_error": ObjectiveSpec(), "params": ObjectiveSpec()},
    budget=BudgetSpec(trials=2),
)
NETWORK = Architecture.of(
    "mlp", {"layers": 2, "widths": (128, 128), "activation": "relu", "norm": "batchnorm", "dropout": 0.1}
)


def record(spec=SPEC, architecture=NETWORK) -> TrialRecord:
    return TrialRecord(
        study=spec.name,
        number=0,
        spec=spec,
        facts=data.describe(spec.data, spec.train.task),
        architecture=architecture,
        seed=evaluation_seed(spec.seed, architecture.key, 0),
        steps=spec.train.steps,
    )


class Kitchen:
    """A study of one trained trial, and the program as a user runs it."""

    def __init__(self, scene, folder: Path) -> None:
        self.database, self.folder = scene.database, folder
        study = scene.studies.create(SPEC, record().facts)
        trial = NewTrial(
            number=TrialNumber(0),
            proposal=Proposal(NETWORK, "sample"),
            proposed_from=LearnedSeq(0),
            strategy="random",
            strategy_version="random-1",
            fidelity=SPEC.train.steps,
            seed=record().seed,
            counts={"params": 1, "flops": 1},
            evaluations=(NewEvaluation(Stage.TRAIN, LOCAL, 0),),
        )
        scene.trials.apply(scene.epoch, Step(study=study, trials=(trial,)))
        self.environment = os.environ | {"NASD_HOME": str(folder / "home"), "NASD_REDIS_URL": "redis://127.0.0.1:1"}

    def train(self) -> None:
        """As a worker does."""
        done = self.run("-m", "workers", "--once", url=self.database.worker)
        assert done.returncode == 0, done.stderr

    def run(self, *arguments, url):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=self.environment | {"NASD_DATABASE_URL": url},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )

    def export(self, *arguments):
        return self.run("-m", "nasd", "export", "kitchen", *arguments, url=self.database.controller)


@pytest.fixture
def kitchen(scene, tmp_path):
    return Kitchen(scene, tmp_path)


def test_a_trial_is_trained_again_to_the_bit_and_its_weights_are_kept(kitchen):
    """What is shipped is what was measured; the second export takes seconds however long the training was."""
    kitchen.train()
    first = kitchen.export("0", "--json")
    second = kitchen.export("0", "--format", "safetensors", "--json")
    third = kitchen.export("0", "--precision", "int8")

    assert first.returncode == second.returncode == third.returncode == 0, first.stderr + second.stderr + third.stderr
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    ((recorded,),) = kitchen.database.rows("select value from measurements where name = 'val_error'")
    assert one["val_error"] == one["recorded_val_error"] == two["val_error"] == recorded
    assert (one["weights"], two["weights"]) == ("trained again", "stored weights")
    assert "training it again for 30 steps (that took" in first.stderr
    assert kitchen.database.rows("select format from nasd_core.artifact") == [("weights",)]

    assert "int8     static: val_error " in third.stdout
    assert f"(trained {recorded:.6g})" in third.stdout
    assert "% of samples" in third.stdout
    assert (kitchen.folder / "kitchen-0-onnx-int8" / "model.onnx").exists()

    split = data.search_split(SPEC.data)
    facts = json.loads((kitchen.folder / "kitchen-0-onnx" / "model.json").read_text())
    x = (split.validation_x.astype(np.float64) - facts["preprocessing"]["mean"]) / facts["preprocessing"]["deviation"]
    session = onnxruntime.InferenceSession(kitchen.folder / "kitchen-0-onnx" / "model.onnx")
    (answers,) = session.run(["output"], {"input": x.astype(np.float32)})
    assert np.mean(answers.argmax(1) != split.validation_y) == pytest.approx(recorded)
    loaded = load(kitchen.folder / "kitchen-0-safetensors" / "model.safetensors")
    np.testing.assert_allclose(loaded(torch.from_numpy(x.astype(np.float32))).detach().numpy(), answers, atol=1e-4)


def test_a_network_that_misses_the_recorded_error_is_written_and_told(kitchen):
    """Another machine may train another network: the user hears of it before anybody else does."""
    kitchen.train()
    kitchen.database.rows("update nasd_core.measurement set status = 'quarantined' where name = 'val_error'")
    columns = "study_id, trial_id, evaluation_id, attempt, worker_id, device_kind, name, unit, spread, n, conditions"
    kitchen.database.rows(
        f"insert into nasd_core.measurement ({columns}, value, status) "
        f"select {columns}, 0.9, 'current' from nasd_core.measurement where name = 'val_error'"
    )
    done = kitchen.export("0", "--out", "there")
    assert done.returncode == 1
    assert "does NOT agree with the recorded 0.9" in done.stdout
    assert "does NOT agree" in (kitchen.folder / "there" / "MODEL_CARD.md").read_text()


def test_mistakes_are_sentences_before_anything_is_trained(kitchen):
    (kitchen.folder / "mine").mkdir()
    (kitchen.folder / "mine" / "notes").write_text("not an export")
    (kitchen.folder / "folder").write_text("a file")
    for arguments, said in (
        (("7",), "has no trial 7; its trials are 0 to 0"),
        (("0", "--folder", "nowhere"), "--folder nowhere: no such folder"),
        (("0", "--out", "mine"), "mine: exists and is no earlier export"),
        (("0", "--out", "folder"), "folder: exists and is no earlier export"),
        (("0", "--format", "pt2", "--precision", "int8"), "--precision int8: --format pt2 is written in fp32 alone"),
    ):
        done = kitchen.export(*arguments)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "training" not in done.stderr


CASES = {
    "mlp": (SPEC, NETWORK),
    "mixture of experts": (
        replace(SPEC, space=SpaceSpec(kind="transformer", preset="small")),
        Architecture.of(
            "transformer",
            {
                "layers": 2, "d_model": 32, "heads": 2, "mlp_ratio": 2, "norm_position": "pre", "positions": "rotary",
                "attention": "full", "window": None, "stride": None, "experts": "mixture", "n_experts": 4, "top_k": 2,
                "sharing": "all", "activation": "gelu", "dropout": 0.0, "patch": 4,
            },
        ),
    ),
    "the user's own": (
        replace(SPEC, space=SpaceSpec(kind="custom"), model=ModelSpec(build="user_models:SearchMLP")),
        Architecture.of("custom", {"hidden_dims": (16, 8), "activation": "gelu"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_format_reads_back_as_the_trained_network(name, tmp_path):
    """Also where weights are shared, tokens are routed, or inputs are flattened on their way into a user's module."""
    trial = record(*CASES[name])
    split = split_of(trial, allow=None)
    trained = train_again(trial, split, allow=None)
    for wanted in (Format.SAFETENSORS, Format.PT2, Format.ONNX):
        made = export(trial, trained, split, wanted=wanted, into=tmp_path / wanted)
        assert made.parity.error <= 1e-4
        assert made.parity.n_unstable == 0
        assert made.batch is None
        assert {path.name for path in (tmp_path / wanted).iterdir()} == {made.file, "MODEL_CARD.md", "model.json"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_converted_file_says_what_the_conversion_costs(precision, tmp_path):
    """The error that a board will make, recomputed here from the file and its card alone."""
    trial = record()
    split = split_of(trial, allow=None)
    trained = train_again(trial, split, allow=None)
    plain = export(trial, trained, split, wanted=Format.ONNX, into=tmp_path / "fp32")
    made = export(
        trial, trained, split, wanted=Format.ONNX, into=tmp_path / precision, precision=DevicePrecision(precision)
    )

    facts = json.loads((tmp_path / precision / "model.json").read_text())
    x = (split.validation_x.astype(np.float64) - facts["preprocessing"]["mean"]) / facts["preprocessing"]["deviation"]
    logits = {
        name: onnxruntime.InferenceSession(tmp_path / name / "model.onnx").run(None, {"input": x.astype(np.float32)})[0]
        for name in ("fp32", precision)
    }
    answers = {name: each.argmax(1) for name, each in logits.items()}
    cost = facts["accuracy"]
    assert cost["n"] == len(split.validation_y)
    assert cost["converted"]["val_error"]["value"] == np.mean(answers[precision] != split.validation_y)
    assert cost["trained"]["val_error"]["value"] == trained.val_error.value
    assert cost["trained"]["val_loss"]["value"] == pytest.approx(trained.val_loss.value, abs=1e-6)
    assert cost["same_answers"] == np.mean(answers[precision] == answers["fp32"])
    assert made.parity.error == pytest.approx(
        np.abs(logits[precision] - logits["fp32"])[: made.parity.n].max(), rel=0.1
    )
    assert 1e-4 < made.parity.error < 1
    assert made.n_bytes < plain.n_bytes * {"fp16": 0.6, "int8": 0.4}[precision]
    assert (facts["precision"], cost["method"]) == (precision, {"fp16": None, "int8": "static"}[precision])
    card = (tmp_path / precision / "MODEL_CARD.md").read_text()
    assert f"## What {precision} costs" in card
    assert f"| val_error | {trained.val_error.value:.6g} | {cost['converted']['val_error']['value']:.6g} |" in card
    assert {path.name for path in (tmp_path / precision).iterdir()} == {"model.onnx", "MODEL_CARD.md", "model.json"}
    assert "## What" not in (tmp_path / "fp32" / "MODEL_CARD.md").read_text()


def test_a_file_that_answers_otherwise_is_not_kept(tmp_path):
    """The export of another network stands for a translation that went wrong."""
    trial = record()
    split = split_of(trial, allow=None)
    trained = train_again(trial, split, allow=None)

    class Moody(torch.nn.Module):
        """What it answers depends on whether it is looked at by the exporter."""

        def forward(self, x):
            return x.flatten(1)[:, :10] * (2.0 if torch.compiler.is_exporting() else 1.0)

    moody = replace(trained, module=Moody().eval())
    for wanted in (Format.PT2, Format.ONNX):
        with pytest.raises(UserError, match=r"differ|otherwise"):
            export(trial, moody, split, wanted=wanted, into=tmp_path / wanted)
    assert list(tmp_path.iterdir()) == []


def test_training_again_is_the_workers_training():
    """The module is caught on its way through, which must not move a single number."""
    trial = record()
    split = split_of(trial, allow=None)
    with threads(1):  # as the evaluating child computes
        measured = train(NETWORK, SPEC, split, seed=trial.seed, steps=trial.steps, at_step=lambda _: None)
    again = train_again(trial, split, allow=None)
    assert (again.val_error.value, again.val_loss.value) == (measured[0].value, measured[1].value)


def test_build_gives_the_networks_module_by_study_and_architecture():
    """A study that was never stored has networks too; what training begins with is what a trial began with."""
    untrained, trained = build(SPEC, NETWORK), build(SPEC, NETWORK, trained=True)
    ours = initial(record(), allow=None)
    assert not untrained.training
    for name, tensor in untrained.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name])
    assert not torch.equal(next(trained.parameters()), next(untrained.parameters()))


def test_load_refuses_files_of_others(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("no tensors")
    for name in ("other.safetensors", "text", "gone"):
        with pytest.raises(UserError, match="is no file of `nasd export"):
            load(tmp_path / name)


def test_build_knows_every_space():
    """1-D convolutions, as the example studies draw them."""
    spec = replace(SPEC, data=DataSpec(use="mnist1d"), space=SpaceSpec(kind="cnn", preset="small"))
    facts = data.describe(spec.data)
    architecture = spaces.build(spec.space, facts.problem).sample(np.random.default_rng(1))
    module = build(spec, architecture)
    assert module(torch.zeros(2, *facts.input_shape)).shape == (2, 10)
