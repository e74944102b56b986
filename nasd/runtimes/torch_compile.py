"""torch-compile: `torch.compile` for exactly the inputs at hand, compiled before anything is timed."""

from __future__ import annotations

import warnings
from contextlib import ExitStack

import torch
import torch._dynamo
import torch._inductor.config
import torch._inductor.exc
from torch import Tensor, nn

from nasd.errors import CandidateFault, WorldFault
from nasd.runtimes.offers import compiler
from nasd.runtimes.torch_runner import Forward, Notes


def prepare(module: nn.Module, inputs: Tensor, stack: ExitStack) -> tuple[Forward, Notes]:
    """See `torch_runner.Prepare`.

    Raises:
        CandidateFault: `unsupported`, it can't be compiled.
        WorldFault: `no_compiler`.
    """
    require_compiler(inputs)
    torch._dynamo.reset()  # else the ninth network of a class runs eagerly: torch compiles the same code eight times
    stack.callback(torch._dynamo.reset)
    # a training with `compile = "auto"` may have told torch to run eagerly what it can't compile
    stack.enter_context(torch._dynamo.config.patch(suppress_errors=False))
    stack.enter_context(torch._inductor.config.patch(compile_threads=1))  # in this process, which may be killed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own internals
            compiled = torch.compile(module, dynamic=False)
            compiled(inputs)
    except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
        raise CandidateFault("unsupported", f"torch.compile fails: {first_line(error)}") from error
    return compiled, {"compiler": "inductor"}


def require_compiler(inputs: Tensor) -> None:
    """Generated code for the processor is C++.

    Raises:
        WorldFault: `no_compiler`.
    """
    if inputs.device.type == "cpu" and compiler() is None:
        raise WorldFault("no_compiler", "torch.compile needs a C++ compiler here: install g++, or name one in CXX")


def first_line(error: Exception) -> str:
    """What an error of torch's compiler says before its advice."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
