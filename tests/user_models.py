"""Models as users write them: good ones, and one for every mistake. `config["x"]` is the only gene."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
from math import prod

import torch
from torch import nn


def build(config, input_shape, output_shape):
    """A good one; its size follows from the gene."""
    width = 4 + config["x"]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(prod(input_shape), width), nn.ReLU(), nn.Linear(width, output_shape[0])
    )


class SearchMLP(nn.Module):
    """As published searches write their networks: dimensions first, the dict last, flat inputs."""

    def __init__(self, input_dim, output_dim, config):
        super().__init__()
        sizes = [input_dim, *config["hidden_dims"]]
        act = {"gelu": nn.GELU, "relu": nn.ReLU}[config["activation"]]
        layers = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers += [nn.Linear(a, b), act()]
            config["hidden_dims"][i] = None  # careless, and nobody else's business
        self.net = nn.Sequential(*layers, nn.Linear(sizes[-1], output_dim))

    def forward(self, x):
        assert x.ndim == 2
        return self.net(x)


def build_by_genes(input_dim, output_dim, x):
    return nn.Linear(input_dim, output_dim + 0 * x)


def language(config, input_shape, output_shape):
    """Tokens in, a row of scores for each out."""
    return nn.Sequential(nn.Embedding(output_shape[-1], 3), nn.Linear(3, output_shape[-1]))


def lazy(config, input_shape, output_shape):
    """Shapes are found by the first batch, weights are drawn then."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(output_shape[0]))


def wrong_shape(config, input_shape, output_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), 7))


def wrong_inside(config, input_shape, output_shape):
    return nn.Linear(5, output_shape[0])


def two_outputs(config, input_shape, output_shape):
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    return Two()


def no_module(config, input_shape, output_shape):
    return {"layers": 3}


def bad_signature(config, vocabulary, depth, input_shape):
    return nn.Identity()


def answers_nan(config, input_shape, output_shape):
    module = build(config, input_shape, output_shape)
    nn.init.constant_(module[3].weight, float("nan"))
    return module


def raises(config, input_shape, output_shape):
    raise RuntimeError("no such layer")


def exits(config, input_shape, output_shape):
    sys.exit("bad input")


def leaves(config, input_shape, output_shape):
    os._exit(3)


def segfault(config, input_shape, output_shape):
    ctypes.string_at(0)


def endless(config, input_shape, output_shape):
    while True:
        pass


def chatty(config, input_shape, output_shape):
    for _ in range(200):
        os.write(1, b"x" * 65_536 + b"\n")
    return build(config, input_shape, output_shape)


def fails_while_training(config, input_shape, output_shape):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build(config, input_shape, output_shape)

        def forward(self, x):
            if self.training:
                raise ValueError("only in training")
            return self.inner(x)

    return Fails()


def ends_with_settings_changed(config, input_shape, output_shape):
    """Leaves torch as no other evaluation should find it."""
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(2)
    raise RuntimeError("changed my mind")


class _Unexportable(nn.Module):
    """Its graph depends on the numbers that come in."""

    def __init__(self, n):
        super().__init__()
        self.layer = nn.Linear(64, n)

    def forward(self, x):
        return self.layer(x.flatten(1)) * float(x.flatten().tolist()[0] > 0)


def unexportable(config, input_shape, output_shape):
    return _Unexportable(output_shape[0])
