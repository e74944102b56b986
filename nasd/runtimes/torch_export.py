"""torch-export: the graph of `torch.export`, compiled ahead of time (AOTInductor) where a C++ compiler is here.

Without one the graph itself is run. Which it was is in the conditions: they are different devices' numbers.
"""

from __future__ import annotations

import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path

import torch
import torch._inductor
import torch._inductor.config
import torch._inductor.exc
from torch import Tensor, nn

from nasd.errors import CandidateFault
from nasd.nets.runtime import is_out_of_memory
from nasd.runtimes.offers import compiler
from nasd.runtimes.torch_compile import first_line
from nasd.runtimes.torch_runner import Forward, Notes


def prepare(module: nn.Module, inputs: Tensor, stack: ExitStack) -> tuple[Forward, Notes]:
    """See `torch_runner.Prepare`.

    Raises:
        CandidateFault: `unsupported`, it can't be exported or its graph not compiled.
    """
    program = _exported(module, inputs)
    if compiler() is None:
        return program.module(), {"compiler": "none"}
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nasd-aot-")))
    stack.enter_context(torch._inductor.config.patch(compile_threads=1))  # in this process, which may be killed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own internals
            path = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "network.pt2"))
            loaded = torch._inductor.aoti_load_package(path)
    except torch._inductor.exc.InductorError as error:
        raise CandidateFault("unsupported", f"the exported graph can't be compiled: {first_line(error)}") from error
    return loaded, {"compiler": "aotinductor"}


def _exported(module: nn.Module, inputs: Tensor) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own internals
            return torch.export.export(module, (inputs,))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise CandidateFault("unsupported", f"torch.export fails: {first_line(error)}") from error
