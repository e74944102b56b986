"""The [model] table: a module of the user's own, and the weights it begins with.

The user's function is called in one of these ways, told apart by the names of its parameters:

    build(config, input_shape, output_shape)    shapes of one sample, tuples; also where no name is one of those below
    Net(input_dim, output_dim, config)          numbers; inputs are flattened to (b, input_dim) on their way in

A class serves as well as a function, and `Net(input_dim, output_dim, **config)` too: parameters that have genes' names
get those genes. `config` is the plain dict of genes as `pareto_front.architecture` has it, lists and no tuples, without
the genes that belong to the recipe.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from math import prod
from typing import Self

import torch
from torch import Tensor, nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.recipe import model_genes
from nasd.domain.study import ModelSpec, StudySpec
from nasd.errors import CandidateFault, NasdError
from nasd.nets.build import build_module
from nasd.nets.counting import example_inputs
from nasd.nets.pretrained import freeze, load_weights
from nasd.nets.runtime import candidate_memory
from nasd.usercode import Function, line_of, load_function, plain_genes

Seeded = Callable[[int], AbstractContextManager[None]]

_CONFIG_NAMES = ("config", "architecture", "genes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """seed -> module on the CPU in training mode, for one architecture of a study with a [model] table.

    The same architecture and seed give the same weights, as far as they are drawn by torch's generator.

    Attributes:
        config: the genes that the user's function gets.
        seeded: seeds torch's global generators within, and puts them back.
        allow: see `load_function`.
        init_sha256: of `model.init` as the study recorded it; None: not recorded.
        notes: filled by each call: what a measurement's conditions should say.
    """

    architecture: Architecture
    config: Mapping[str, object]
    model: ModelSpec
    problem: Problem
    seeded: Seeded
    allow: Collection[str] | None
    init_sha256: str | None = None
    notes: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        spec: StudySpec,
        problem: Problem,
        *,
        seeded: Seeded,
        allow: Collection[str] | None,
        init_sha256: str | None = None,
    ) -> Self:
        """What builds `architecture` as the study says."""
        return cls(
            architecture=architecture,
            config=config_of(architecture, spec),
            model=spec.model,
            problem=problem,
            seeded=seeded,
            allow=allow,
            init_sha256=init_sha256,
        )

    def __call__(self, seed: int) -> nn.Module:
        """Build it.

        Raises:
            CandidateFault: `wrong_shape`, `bad_signature`, `bad_result`, `exception`, `not_finite`, `out_of_memory`,
                `unsupported`, or `init_mismatch`: a start or a freeze that fits nothing.
            WorldFault: `init_missing`, `init_unreadable` or `init_changed`.
            FunctionError: the function can't be imported here.
        """
        if self.model.build is None:
            module = build_module(self.architecture, problem=self.problem, seed=seed)
        else:
            self.notes["build"] = self.model.build
            with self.seeded(seed):
                module = self._users_module(self.model.build)
        if self.model.init is not None:
            self.notes["init"] = load_weights(module, self.model.init, sha256=self.init_sha256)
        if self.model.freeze:
            self.notes["frozen"] = freeze(module, self.model.freeze)
        return module.train()

    def _users_module(self, dotted: str) -> nn.Module:
        shown = f'model.build = "{dotted}"'
        function = load_function(dotted, what="model.build", allow=self.allow)
        flattened, arguments = _arguments(function, self.config, self.problem, shown)
        with _users_fault(f"{shown}: building fails"):
            module = function(*arguments.args, **arguments.kwargs)
        if not isinstance(module, nn.Module):
            raise CandidateFault("bad_result", f"{shown}: returned {type(module).__name__}, not a torch.nn.Module")
        if flattened:
            module.register_forward_pre_hook(_flatten)  # a hook, so that names in state_dict stay the user's own
        _check(module, self.problem, shown)
        return module


def config_of(architecture: Architecture, spec: StudySpec) -> dict[str, object]:
    """The genes that describe the network: all but those that belong to the recipe."""
    return plain_genes(model_genes(architecture, spec))


def _arguments(
    function: Function, config: Mapping[str, object], problem: Problem, shown: str
) -> tuple[bool, inspect.BoundArguments]:
    """(whether inputs are to be flattened, what to call the function with).

    Raises:
        CandidateFault: `bad_signature`, it needs something that nobody gives.
    """
    own = deepcopy(dict(config))  # it may be changed by who gets it
    known: dict[str, object] = {
        "input_shape": tuple(problem.input_shape),
        "output_shape": tuple(problem.output_shape),
        "input_dim": prod(problem.input_shape),
        "output_dim": problem.n_outputs,
    }
    try:
        signature = inspect.signature(function)
        chosen = {name: value for name, value in known.items() if name in signature.parameters}
        if not chosen:
            return False, signature.bind(own, known["input_shape"], known["output_shape"])
        bound = signature.bind(**chosen, **_config_arguments(signature, own, taken=chosen))
    except (TypeError, ValueError) as error:
        raise CandidateFault(
            "bad_signature",
            f"{shown}: can't be called ({error}); write build(config, input_shape, output_shape) "
            "or Net(input_dim, output_dim, config)",
        ) from error
    return "input_dim" in chosen and len(problem.input_shape) > 1, bound


def _config_arguments(
    signature: inspect.Signature, config: dict[str, object], *, taken: Collection[str]
) -> dict[str, object]:
    """The genes as one dict for the parameter that takes it, or one by one where parameters have their names."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    free = [each for each in signature.parameters.values() if each.name not in taken and each.kind not in variable]
    names = [each.name for each in free]
    required = [each.name for each in free if each.default is inspect.Parameter.empty]
    taker = next((name for name in _CONFIG_NAMES if name in names), None)
    if taker is None and not config.keys() >= set(required):
        taker = required[0]
    if taker is not None:
        return {taker: config}
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
    return {name: value for name, value in config.items() if takes_any or name in names}


def _flatten(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].flatten(1), *inputs[1:])  # (b, input_dim)


@contextmanager
def _users_fault(what: str) -> Iterator[None]:
    """Whatever the user's code raises within is the candidate's fault; `what` begins the sentence.

    Raises:
        CandidateFault: `out_of_memory` or `exception`.
    """
    try:
        with candidate_memory("the network"):
            yield
    except NasdError:
        raise
    except (Exception, SystemExit) as error:
        raise CandidateFault("exception", f"{what}: {type(error).__name__}: {error}{line_of(error)}") from error


def _check(module: nn.Module, problem: Problem, shown: str) -> None:
    """One forward pass on two samples, which also gives lazy layers their shapes."""
    inputs, wanted = example_inputs(problem, 2), (2, *problem.output_shape)
    module.eval()
    with torch.no_grad(), _users_fault(f"{shown}: the network fails on inputs {tuple(inputs.shape)}"):
        output = module(inputs)
    if not isinstance(output, Tensor):
        raise CandidateFault("wrong_shape", f"{shown}: wanted {wanted}, got a {type(output).__name__}, not a tensor")
    if tuple(output.shape) != wanted:
        raise CandidateFault(
            "wrong_shape", f"{shown}: on inputs {tuple(inputs.shape)} wanted {wanted}, got {tuple(output.shape)}"
        )
    if bool(output.isnan().any()):
        raise CandidateFault("not_finite", f"{shown}: the untrained network answers NaN")
