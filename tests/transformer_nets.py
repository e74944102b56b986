"""Small transformers for tests: genes that every choice can be put into, and problems of every kind."""

import torch
from torch import nn

from nasd.domain.architecture import Architecture, Gene
from nasd.domain.data import Problem, Task
from nasd.nets import build_module
from nasd.nets.transformer.mixture import Experts, Mixture

IMAGES = Problem(input_shape=(2, 4, 6), n_outputs=3)
SEQUENCES = Problem(input_shape=(3, 12), n_outputs=3)
FEATURES = Problem(input_shape=(12,), n_outputs=3)
TEXTS = Problem(input_shape=(12,), n_outputs=3, vocabulary=11)
LM = Problem(input_shape=(12,), n_outputs=11, vocabulary=11, task=Task.LM)
PROBLEMS = {"images": IMAGES, "sequences": SEQUENCES, "features": FEATURES, "texts": TEXTS, "lm": LM}

_GENES: dict[str, Gene] = {
    "layers": 2, "d_model": 16, "heads": 2, "mlp_ratio": 2, "norm_position": "pre", "positions": "learned",
    "attention": "full", "window": 4, "stride": 3, "experts": "dense", "n_experts": None, "top_k": None,
    "sharing": "none", "activation": "gelu", "dropout": 0.0,
}  # fmt: skip
MIXTURE: dict[str, Gene] = {"experts": "mixture", "n_experts": 4, "top_k": 2}


def architecture(problem: Problem, **genes: Gene) -> Architecture:
    """A transformer of two layers, with `genes` changed."""
    ends: dict[str, Gene] = {"embedding": 16} if problem.vocabulary else {"patch": 2}
    return Architecture.of("transformer", {**_GENES, **ends, **genes})


def network(problem: Problem, *, seed: int = 0, **genes: Gene) -> nn.Module:
    return build_module(architecture(problem, **genes), problem=problem, seed=seed)


def inputs(problem: Problem, n: int, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if problem.vocabulary:
        return torch.randint(problem.vocabulary, (n, *problem.input_shape), generator=generator)
    return torch.randn((n, *problem.input_shape), generator=generator)


def targets(problem: Problem, n: int, *, seed: int = 1) -> torch.Tensor:
    """Classes, shaped as cross-entropy wants them for outputs with the classes last."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(problem.n_outputs, (n, *problem.output_shape[:-1]), generator=generator)


def one_mixture(n_experts: int, top_k: int, *, seed: int = 0) -> Mixture:
    """A mixture alone, 8 wide, with drawn weights."""
    generator = torch.Generator().manual_seed(seed)
    mixture = Mixture(n_experts=n_experts, top_k=top_k, d_model=8, hidden=16, activation=nn.GELU(), gain=1.0)
    mixture.router.draw_weights(generator)
    assert isinstance(mixture.experts, Experts)
    mixture.experts.draw_weights(generator)
    return mixture
