"""A module of the user's own: called as it wants to be, the same for the same seed, begun and frozen as told."""

from dataclasses import replace

import pytest
import torch
import user_models
from safetensors.torch import save_file
from torch import nn
from users_scene import MODEL, spec_of

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.study import ModelSpec, ParameterSpec, Role, SpaceSpec
from nasd.errors import CandidateFault, WorldFault
from nasd.nets.counting import count
from nasd.nets.user import Builder, config_of
from nasd.training.seeding import weights_seeded
from nasd.usercode import file_sha256

IMAGES = Problem(input_shape=(1, 8, 8), n_outputs=10)
MLP = {"layers": 2, "widths": (128, 256), "activation": "relu", "norm": "none", "dropout": 0.0}
SEARCH_MLP = {"hidden_dims": (512, 512, 256), "activation": "gelu"}


def built(model: ModelSpec, genes=None, *, seed: int = 1, problem: Problem = IMAGES, space: str = "custom", **more):
    architecture = Architecture.of(space, genes or {"x": 1})
    spec = replace(spec_of("s", MODEL, "a:b"), model=model, space=SpaceSpec(kind=space))
    builder = Builder.of(architecture, spec, problem, seeded=weights_seeded, allow=None, **more)
    return builder(seed), builder.notes


def users(name: str, genes=None, **options) -> nn.Module:
    return built(ModelSpec(build=f"user_models:{name}"), genes, **options)[0]


@pytest.mark.parametrize(
    ("name", "genes"),
    [("build", None), ("SearchMLP", SEARCH_MLP), ("build_by_genes", None), ("lazy", None)],
)
def test_each_way_to_be_called_gives_a_network_in_training_mode(name, genes):
    """By shapes, by dimensions with one dict, by dimensions with the genes as parameters."""
    module = users(name, genes)

    assert module.training
    assert module(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_a_published_searchs_class_works_unchanged():
    """Its weights have the names that they always had, whatever flattens its inputs."""
    module = users("SearchMLP", SEARCH_MLP)

    assert type(module) is user_models.SearchMLP
    assert [tuple(weight.shape) for weight in module.parameters() if weight.ndim == 2] == [
        (512, 64),
        (512, 512),
        (256, 512),
        (10, 256),
    ]
    assert "net.0.weight" in module.state_dict()


@pytest.mark.parametrize("name", ["build", "lazy"])
def test_weights_follow_from_the_seed_and_from_nothing_else(name):
    """A retry on another worker is the same experiment; and nobody else's random numbers move."""
    torch.rand(1)
    before = torch.get_rng_state()
    one, same, other = (users(name, seed=seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_recipes_genes_do_not_reach_the_network():
    """They are keys of [train]; a network that got them could depend on them."""
    params = {"x": ParameterSpec(int_range=(1, 3)), "lr": ParameterSpec(log_range=(1e-4, 1e-2), role=Role.RECIPE)}
    spec = replace(spec_of("s", MODEL, "a:b"), space=SpaceSpec(kind="custom", params=params))

    assert config_of(Architecture.of("custom", {"x": 2, "lr": 0.001}), spec) == {"x": 2}


def test_a_language_model_gets_tokens_and_answers_for_each():
    """Its inputs are numbers of tokens, and its output has a row for every one."""
    problem = Problem(input_shape=(6,), n_outputs=5, task=Task.LM, vocabulary=5)

    module = users("language", problem=problem)

    assert module(torch.zeros(2, 6, dtype=torch.int64)).shape == (2, 6, 5)
    assert count(module, problem) == {"params": 5 * 3 + 3 * 5 + 5, "flops": 2 * 6 * 3 * 5}
    with pytest.raises(CandidateFault, match=r"fails on inputs \(2, 6\)"):
        users("build", problem=problem)


def test_weights_begin_in_a_file_and_what_does_not_fit_is_named(tmp_path, capsys):
    """A start that silently fits nothing would be a training from scratch under a wrong name."""
    source = users("build", {"x": 1}, seed=9).state_dict()
    file = tmp_path / "start.safetensors"
    save_file({"1.weight": source["1.weight"], "3.weight": torch.zeros(7, 7), "extra": torch.ones(1)}, file)

    module, notes = built(ModelSpec(build="user_models:build", init=str(file)), seed=1)

    assert torch.equal(module.state_dict()["1.weight"], source["1.weight"])
    assert notes["init"] == {
        "file": str(file),
        "sha256": file_sha256(file),
        "loaded": 1,
        "missing": ["1.bias", "3.bias"],
        "unexpected": ["extra"],
        "wrong_shape": ["3.weight: (10, 5) here, (7, 7) in the file"],
    }
    assert "missing: 3.bias" in capsys.readouterr().out


def test_a_start_that_can_not_be_used_says_whose_fault_it_is(tmp_path):
    """Nothing that fits is the study's mistake; a file that is not there, or another one, is this machine's."""
    file = tmp_path / "start.safetensors"
    save_file({"other": torch.ones(1)}, file)
    model = ModelSpec(build="user_models:build", init=str(file))

    with pytest.raises(CandidateFault, match="none of its 1 tensors fits"):
        built(model)
    with pytest.raises(WorldFault, match="the study recorded 0000"):
        built(model, init_sha256="0" * 64)
    with pytest.raises(WorldFault, match="No such file"):
        built(replace(model, init=str(tmp_path / "none")))
    file.write_bytes(b"no tensors")
    with pytest.raises(WorldFault, match="is not a safetensors file"):
        built(model)


@pytest.mark.parametrize(("space", "genes", "pattern"), [("custom", {"x": 1}, "1.*"), ("mlp", MLP, "1.*")])
def test_what_a_pattern_names_is_not_trained(space, genes, pattern):
    """In a user's module and in a built-in family alike."""
    model = ModelSpec(build="user_models:build" if space == "custom" else None, freeze=(pattern,))

    module, notes = built(model, genes, space=space)
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]

    assert len(frozen) == notes["frozen"] > 0
    assert any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("pattern", "words"), [("stem.*", "matches no parameter; they are: 1.weight"), ("*", "nothing")]
)
def test_a_pattern_that_freezes_nothing_or_all_is_refused(pattern, words):
    """A typing mistake would train what was to stay."""
    with pytest.raises(CandidateFault, match=words):
        built(ModelSpec(build="user_models:build", freeze=(pattern,)))


def test_flops_are_counted_where_torch_alone_counts_none():
    """Attention, the fused encoder layer and an LSTM read 0 on a CPU; a study would prefer them for nothing."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(8, 16, batch_first=True)
            self.encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
            self.head = nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.encoder(self.rnn(x)[0])[:, -1])

    module = Both().train()
    found = count(module, Problem(input_shape=(10, 8), n_outputs=3))

    lstm = 10 * 2 * (8 + 16) * 64
    encoder = 10 * 2 * (16 * 48 + 16 * 16 + 2 * 16 * 32) + 2 * 2 * 10 * 10 * 16
    assert found == {"params": sum(p.numel() for p in module.parameters()), "flops": lstm + encoder + 2 * 16 * 3}
    assert module.training
    assert torch.backends.mha.get_fastpath_enabled()
