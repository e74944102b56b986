"""What an export says of itself: how inputs are made, whether errors agree, and mixtures as exporters see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_nets import one_mixture

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts, Task
from nasd.domain.devices import DevicePrecision
from nasd.domain.measurement import Measurement
from nasd.domain.study import BudgetSpec, EvaluationSpec, ObjectiveSpec, StudySpec
from nasd.errors import UserError
from nasd.exporting.accuracy import Heard, accuracy
from nasd.exporting.formats import Format, Written, require_precision
from nasd.exporting.parity import Parity, difference, parity
from nasd.exporting.preprocessing import Interface
from nasd.exporting.trained import Trained, agreement
from nasd.exporting.trial import TrialRecord, require_network
from nasd.nets.runtime import threads
from nasd.training.tensors import Tensors

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def facts(**more) -> DataFacts:
    usual = {"input_shape": (3,), "n_outputs": 2, "n_train": 40, "n_validation": 9, "n_test": 0, "trivial_error": 0.5}
    return DataFacts(name="own", seed=0, **(usual | more))


def split(**more) -> SearchSplit:
    rng = np.random.default_rng(0)
    usual = {
        "train_x": rng.normal(5, 3, (40, 3)).astype(np.float32),
        "train_y": rng.integers(2, size=40),
        "validation_x": rng.normal(5, 3, (9, 3)).astype(np.float32),
        "validation_y": rng.integers(2, size=9),
    }
    return SearchSplit(name="own", sha256={}, **({"n_outputs": 2} | usual | more))


def record(**more) -> TrialRecord:
    spec = StudySpec(name="kitchen", objectives={"val_error": ObjectiveSpec()}, budget=BudgetSpec(trials=1))
    usual = {
        "spec": spec,
        "facts": facts(),
        "architecture": Architecture.of("mlp", {"layers": 1}),
        "seed": 1,
        "steps": 9,
    }
    return TrialRecord(study="kitchen", number=3, **(usual | more))


def row(value, spread=0.01, name="val_error", **conditions):
    return {"name": name, "value": value, "spread": spread, "n": 9, "conditions": conditions, "device_kind": "local"}


def trained(value, spread=0.01) -> Trained:
    error = Measurement("val_error", value, "fraction", spread, 9)
    return Trained(module=torch.nn.Identity(), val_error=error, val_loss=error, source="trained again")


def test_inputs_are_made_exactly_as_training_made_them():
    """A factor of 255 too many is the usual death of a deployed network; here not one bit may differ."""
    data = split()
    face = Interface.of(data, facts())
    tensors = Tensors.on(CPU, data, facts().problem, batch=8, channels_last=False)

    prepared = face.prepared(data.validation_x)

    assert prepared.dtype == np.float32
    assert torch.equal(torch.from_numpy(prepared), tensors.validation_x.at(torch.arange(9)))


def test_what_the_card_says_of_inputs_is_what_is_done():
    """Its numbers are printed in full: rounded ones would not give the same network answers."""
    data = split()
    face = Interface.of(data, facts())
    said = face.to_json()["preprocessing"]
    by_hand = ((data.validation_x.astype(np.float64) - said["mean"]) / said["deviation"]).astype(np.float32)

    assert np.array_equal(by_hand, face.prepared(data.validation_x))
    assert repr(said["mean"]) in face.before
    assert repr(said["deviation"]) in face.before


def test_regressed_numbers_come_back_in_their_own_unit():
    """The network answers in deviations of the training targets; nobody could guess them."""
    targets = np.linspace(100, 900, 80, dtype=np.float32).reshape(40, 2)
    data = split(task=Task.REGRESSION, train_y=targets, validation_y=targets[:9])
    face = Interface.of(data, facts(task=Task.REGRESSION))
    tensors = Tensors.on(CPU, data, facts(task=Task.REGRESSION).problem, batch=8, channels_last=False)

    answers = tensors.validation_y.at(torch.arange(9)).double().numpy()
    back = answers * np.array(face.target_deviation) + np.array(face.target_mean)

    np.testing.assert_allclose(back, targets[:9], rtol=1e-5)
    assert "deviation" in face.meaning


def test_tokens_are_not_scaled():
    """And come as int64, whatever the file held; a copy, since the split is read-only."""
    tokens = np.arange(20, dtype=np.int32).reshape(4, 5)
    tokens.flags.writeable = False
    face = Interface.of(
        split(task=Task.LM, vocabulary=30, train_x=tokens, train_y=tokens),
        facts(task=Task.LM, vocabulary=30, n_outputs=30, input_shape=(5,)),
    )
    prepared = face.prepared(tokens)
    assert (prepared.dtype, prepared.flags.writeable) == (np.int64, True)
    assert np.array_equal(prepared, tokens)
    assert face.output_shape == (None, 5, 30)


@pytest.mark.parametrize(
    ("now", "recorded", "is_good", "said"),
    [
        (0.20, 0.20, True, "exactly as recorded"),
        (0.22, 0.20, True, "agrees with"),
        (0.24, 0.20, False, "does NOT agree"),
        (0.16, 0.20, False, "does NOT agree"),
    ],
)
def test_an_error_agrees_within_two_combined_standard_errors(now, recorded, is_good, said):
    """Better than recorded is as suspicious as worse: it is another network."""
    found = agreement(trained(now), record(measurements=[row(recorded)]))
    assert found.is_good is is_good
    assert said in str(found)


def test_a_trial_that_was_never_trained_has_nothing_to_agree_with():
    found = agreement(trained(0.2), record())
    assert (found.is_good, found.recorded) == (True, None)
    assert "recorded none" in str(found)


def test_how_long_the_training_took_is_read_from_its_conditions():
    assert record(measurements=[row(1.2, name="val_loss", seconds=2.5)]).took_s == 2.5
    assert record().took_s is None


def test_a_network_that_only_the_users_function_knows_is_refused_by_its_name():
    """There are genes of it, and no module."""
    spec = StudySpec(
        name="own",
        evaluation=EvaluationSpec(run="pkg.mod:run"),
        objectives={"cost": ObjectiveSpec()},
        budget=BudgetSpec(trials=1),
    )
    with pytest.raises(UserError, match=r'evaluation.run = "pkg.mod:run"'):
        require_network(record(spec=spec))


@pytest.mark.parametrize(("n_experts", "top_k"), [(4, 1), (4, 2), (2, 2), (8, 3)])
def test_a_mixture_answers_alike_when_it_is_exported(n_experts, top_k):
    """Exporters can't follow a sort by expert; the loop they see instead must be the same function, to the last bit
    almost, also for batches in which an expert gets no token.
    """
    mixture = one_mixture(n_experts, top_k).eval()
    rows = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3))
    free = {0: torch.export.Dim("batch", max=64)}
    with torch.no_grad():
        exported = torch.export.export(mixture, (rows,), dynamic_shapes=(free,)).module()
        for n in (1, 2, 7):
            x = torch.randn(n, 5, 8, generator=torch.Generator().manual_seed(n))
            torch.testing.assert_close(exported(x), mixture(x), atol=1e-6, rtol=1e-6)


def test_an_exported_mixture_gives_each_expert_its_own_tokens_alone():
    """Were every expert run on every token, an exported network would measure several times too slow."""
    mixture = one_mixture(4, 1).eval()
    with torch.no_grad():
        program = torch.export.export(mixture, (torch.randn(2, 5, 8),))
    products = [node for node in program.graph.nodes if "addmm" in str(node.target)]
    sizes = {str(node.meta["val"].shape[0]) for node in products}
    assert len(products) == 8
    assert "10" not in sizes  # 2 * 5 tokens: numbers that are only known when it runs


class Routed(torch.nn.Module):
    """Two experts; every sample lies on the border between them, or none does."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.router = torch.nn.Parameter(torch.tensor([1.0, border]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x[:, :1] * self.router  # (b, 2)
        return (scores[:, :1] > scores[:, 1:]).float() * 3.0


def written(answers, batch=None) -> Written:
    return Written(Path("model.onnx"), batch, answers)


def test_a_wrong_file_is_not_excused_by_borders():
    """Neither where no sample lies on one, nor where so many do that nothing would be compared."""
    x = np.ones((100, 1), np.float32)
    x[1:] = -1.0
    module = Routed(1.0 - 1e-7).eval()
    far = Routed(0.5).eval()
    expected = module(torch.from_numpy(x)).detach().numpy()
    other = expected.copy()
    other[0] = 3.0 - other[0]

    assert parity(far, written(lambda batch: far(torch.from_numpy(batch)).detach().numpy()), x) == Parity(0.0, 100)
    with pytest.raises(UserError, match="differ from the trained network"):
        parity(far, written(lambda _: other), x)  # its answers hang on no rounding: the file is wrong
    with pytest.raises(UserError, match="differ from the trained network"):
        parity(module, written(lambda _: other), x)  # all of its samples are unstable: nothing would be compared


def test_a_sample_on_the_border_between_experts_is_counted_apart():
    """Seen on a trained language model: one token in 16,384 was routed otherwise, and torch in float64 did so too."""
    x = np.linspace(1, 100, 100, dtype=np.float32)[:, None]

    class OneBorder(torch.nn.Module):
        """A threshold at 50 that its weight moves by rounding."""

        def __init__(self) -> None:
            super().__init__()
            self.at = torch.nn.Parameter(torch.tensor(50.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x >= self.at).float()

    module = OneBorder().eval()
    expected = module(torch.from_numpy(x)).detach().numpy()
    flipped, wrong = expected.copy(), expected.copy()
    flipped[49] = 1 - flipped[49]
    wrong[49], wrong[70] = flipped[49], 0.5

    assert parity(module, written(lambda _: flipped), x) == Parity(0.0, 99, 1)
    with pytest.raises(UserError, match=r"by up to 0\.5"):
        parity(module, written(lambda _: wrong), x)
    assert "1 more lie where rounding decides" in str(Parity(0.0, 99, 1))


def linear(n_outputs: int) -> Trained:
    """A network whose answers on `split()` are anybody's."""
    module = torch.nn.Linear(3, n_outputs).eval()
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-0.77, 0.91, 3 * n_outputs).reshape(n_outputs, 3))
    return replace(trained(0.5), module=module)


def rounded(network: Trained, digits: int, batch=None) -> Written:
    """A file of it that answers in few digits."""

    def answers(x):
        assert batch is None or len(x) % batch == 0
        with torch.no_grad():
            return network.module(torch.from_numpy(x)).numpy().round(digits)

    return written(answers, batch)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_converted_regression_is_judged_by_the_studys_own_error(batch):
    """1 - R^2 of all nine samples, also where the file takes four at a time; there are no answers to count."""
    targets = np.linspace(100, 900, 40, dtype=np.float32).reshape(40, 1)
    data = split(task=Task.REGRESSION, n_outputs=1, train_y=targets, validation_y=targets[:9])
    spec = record().spec
    spec = replace(spec, train=replace(spec.train, task=Task.REGRESSION))
    trial, network = record(spec=spec, facts=facts(task=Task.REGRESSION, n_outputs=1)), linear(1)

    found = accuracy(trial, network, rounded(network, 1, batch), data, allow=None)

    face = Interface.of(data, trial.facts)
    with torch.no_grad():
        outputs = network.module(torch.from_numpy(face.prepared(data.validation_x))).numpy()
    by_hand = [
        np.square(each * face.target_deviation[0] + face.target_mean[0] - targets[:9]).mean() / targets[:9].var()
        for each in (outputs, outputs.round(1))
    ]
    assert [found.trained.error, found.converted.error] == pytest.approx(by_hand, rel=1e-5)
    assert found.trained.n == found.converted.n == 9
    assert (found.same_answers, found.agreement) == (None, "")


def test_the_users_own_metric_is_seen_before_and_after():
    """It may be the objective that the trial was chosen by."""
    spec = record().spec
    spec = replace(spec, train=replace(spec.train, metric="user_functions:wrong_share"))
    network = linear(2)

    found = accuracy(record(spec=spec), network, rounded(network, 0), split(), allow=None)

    assert found.converted.metrics == {"wrong_share": pytest.approx(found.converted.error)}
    assert 0 < found.same_answers < 1
    assert "wrong_share" in str(found)
    assert found.to_json()["converted"]["wrong_share"] == {"value": found.converted.error, "spread": None}


def test_answers_of_language_models_and_labels_are_counted_one_by_one():
    """As errors are; a whole text with one token that differs is not another text."""
    one, two = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    one[..., 1] = two[..., 1] = 1.0
    two[1, 2, 3] = 2.0
    for task, shape, same in ((Task.LM, (2, 3, 4), 5 / 6), (Task.MULTILABEL, (6, 4), 23 / 24)):
        heard = [Heard(torch.nn.Identity(), task) for _ in range(2)]
        heard[0](torch.full(shape, 9.0))  # of a validation that did not fit and began again
        for network, outputs in zip(heard, (one, two), strict=True):
            network(outputs.reshape(shape))
        assert heard[0].share_alike(heard[1], n=shape[0]) == pytest.approx(same)


def test_a_conversion_that_overflows_is_refused():
    """Infinite answers have no error; a number that stood for them would be taken for one."""
    network, x = linear(2), split().validation_x
    broken = written(lambda batch: np.full((len(batch), 2), np.nan, np.float32))
    with pytest.raises(UserError, match="not finite; it was not kept"):
        difference(network.module, broken, x)
    with pytest.raises(UserError, match="val_loss is nan after conversion"):
        accuracy(record(), network, broken, split(), allow=None)


def test_only_onnx_files_are_converted():
    for wanted in Format:
        require_precision(wanted, DevicePrecision.FP32)
    require_precision(Format.ONNX, DevicePrecision.INT8)
    with pytest.raises(UserError, match=r"--precision fp16: --format pt2 is written in fp32 alone; --format onnx"):
        require_precision(Format.PT2, DevicePrecision.FP16)
