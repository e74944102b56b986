"""What memory an architecture will need is known before it is sent anywhere, and rather too much than too little."""

from dataclasses import replace

import numpy as np
import pytest

from nasd import spaces
from nasd.domain import footprint
from nasd.domain.data import DataFacts, Task
from nasd.domain.study import Optimiser, SpaceSpec, TrainSpec

MIB = 1 << 20
FACTS = DataFacts(
    name="toy", seed=0, input_shape=(1, 8, 8), n_outputs=10, n_train=1000, n_validation=300, n_test=9, trivial_error=0.9
)
COUNTS = {"params": 1_000_000, "activation_bytes": 1 * MIB}
RECIPE = TrainSpec(batch=128)


def test_parameters_cost_their_gradients_and_the_optimisers_state_too() -> None:
    """AdamW keeps two numbers for each, SGD one."""
    more = {**COUNTS, "params": 2_000_000}
    adamw, sgd = RECIPE, replace(RECIPE, optimiser=Optimiser.SGD)
    steps = [
        footprint.training_bytes(more, FACTS, recipe) - footprint.training_bytes(COUNTS, FACTS, recipe)
        for recipe in (adamw, sgd)
    ]
    assert steps[0] >= 16_000_000
    assert steps[0] - steps[1] == 4_000_000


def test_activations_grow_with_the_batch_that_the_data_allow() -> None:
    """A batch larger than the split is the split."""
    small, large, larger = (footprint.training_bytes(COUNTS, FACTS, TrainSpec(batch=n)) for n in (128, 1000, 4000))
    assert large - small >= (1000 - 128) * MIB
    assert larger == large
    few = replace(FACTS, n_validation=8)
    assert footprint.training_bytes(COUNTS, few, TrainSpec(batch=1)) < footprint.training_bytes(COUNTS, few, RECIPE)


def test_a_texts_outputs_are_a_row_for_every_token() -> None:
    """A vocabulary of 50,000 is more than the rest of a small network."""
    text = replace(FACTS, task=Task.LM, input_shape=(64,), n_outputs=50_000, vocabulary=50_000)
    assert footprint.training_bytes(COUNTS, text, RECIPE) > 3 * 4 * 128 * 64 * 50_000


def test_inference_needs_neither_gradients_nor_all_layers_times_over() -> None:
    """A board that can't train may measure."""
    inference = footprint.inference_bytes(COUNTS, FACTS.problem, batch=128)
    assert 4 * COUNTS["params"] < inference < footprint.training_bytes(COUNTS, FACTS, RECIPE)


def test_an_export_needs_the_weights_many_times_over_but_not_the_optimisers_state() -> None:
    """A machine that measures with torch may still be too small for torch's exporter."""
    export, measured = (
        footprint.mib("export", footprint.export_bytes(COUNTS, FACTS.problem, batch=1)),
        footprint.mib("measure", footprint.inference_bytes(COUNTS, FACTS.problem, batch=1)),
    )
    assert export > measured + 100
    more = {**COUNTS, "params": 2_000_000}
    grown = footprint.export_bytes(more, FACTS.problem, batch=1) - footprint.export_bytes(
        COUNTS, FACTS.problem, batch=1
    )
    assert grown >= 9 * 4_000_000


def test_what_a_space_can_not_count_has_no_prediction() -> None:
    """Nothing is held back for want of a number."""
    assert footprint.training_bytes({"params": 5}, FACTS, RECIPE) is None
    assert footprint.inference_bytes({}, FACTS.problem, batch=1) is None
    assert footprint.export_bytes({}, FACTS.problem, batch=1) is None
    assert footprint.mib("train", None) is None


def test_a_process_is_more_than_its_network_and_a_board_without_torch_less() -> None:
    """Rounded up to whole MiB, the unit in which workers offer memory."""
    assert footprint.mib("train", 1) == footprint.BASE_BYTES["train"] // MIB + 1
    assert footprint.mib("onnxruntime", 0) < footprint.mib("measure", 0)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_every_built_in_space_counts_what_is_asked_for(kind: str) -> None:
    """Else `needs_memory_mib` would stay empty without anybody seeing it."""
    space = spaces.build(SpaceSpec(kind=kind, preset="small" if kind == "transformer" else None), FACTS.problem)
    counts = space.counts(space.sample(np.random.default_rng(0)))
    assert footprint.mib("train", footprint.training_bytes(counts, FACTS, RECIPE)) > 300
