"""torch's own runtimes: a module built on the spot, eager, compiled or exported, behind one `Runner`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasd.domain.data import Problem
from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.domain.measurement import JsonObject
from nasd.errors import CandidateFault, WorldFault
from nasd.nets.allocator import memory_kept
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import candidate_memory, pick_device, place, threads, versions

Forward = Callable[[Tensor], object]
Notes = Mapping[str, object]
# module, inputs, what to enter until it is closed -> (what to call, what to say of it)
Prepare = Callable[[nn.Module, Tensor, ExitStack], tuple[Forward, Notes]]

_PREPARE = {
    Runtime.EAGER: "nasd.runtimes.torch_eager",
    Runtime.COMPILE: "nasd.runtimes.torch_compile",
    Runtime.EXPORT: "nasd.runtimes.torch_export",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A module and inputs on the processor that will run them.

    Attributes:
        conditions: what is known before anything has run.
    """

    module: nn.Module
    inputs: Tensor
    device: DeviceSpec
    conditions: JsonObject


def placed(module: nn.Module, problem: Problem, device: DeviceSpec, *, seed: int) -> Placed:
    """`module` as it is deployed: evaluating, in the device's precision, on its processor, with a random batch.

    Raises:
        WorldFault: `wrong_processor`, the provider is not here.
        CandidateFault: `out_of_memory`.
    """
    where = _processor(device)
    with candidate_memory("the network", where):
        is_inside = place(module, where, input_shape=problem.input_shape)
        module.eval().requires_grad_(requires_grad=False)
        inputs = example_inputs(problem, device.batch or 1, seed=seed).to(where)
        if device.precision is DevicePrecision.FP16:
            module.half()
            inputs = inputs.half() if inputs.is_floating_point() else inputs
        if is_inside:
            inputs = inputs.contiguous(memory_format=torch.channels_last)  # as it was trained
    layout = {"memory_format": "channels_last"} if is_inside else {}
    return Placed(module, inputs, device, {**_conditions(device, where), **layout})


class TorchRunner:
    """See `nasd.runtimes.base.Runner`.

    Attributes:
        conditions: those of what was placed, and how it was prepared.
    """

    def __init__(self, forward: Forward, inputs: Tensor, conditions: JsonObject, stack: ExitStack) -> None:
        self._forward, self._inputs, self._stack = forward, inputs, stack
        self.conditions = conditions
        self.n_samples = len(inputs)
        self._wait: Callable[[], None] = _WAITS[inputs.device.type]

    def run(self) -> None:
        self._forward(self._inputs)
        self._wait()  # kernels are asynchronous: without this we time the launch

    def close(self) -> None:
        self._forward = _closed
        self._stack.close()


def open_module(network: Placed) -> TorchRunner:
    """What runs `network` by its device's runtime; it has run once.

    Raises:
        CandidateFault: `unsupported` or `out_of_memory`.
        WorldFault: `no_compiler`.
    """
    prepare: Prepare = importlib.import_module(_PREPARE[network.device.runtime]).prepare
    stack = ExitStack()
    try:
        stack.enter_context(memory_kept())
        stack.enter_context(threads(network.device.threads or 1))
        stack.enter_context(torch.inference_mode())
        with candidate_memory("a forward pass", network.inputs.device):
            forward, notes = prepare(network.module, network.inputs, stack)
            runner = TorchRunner(forward, network.inputs, {**network.conditions, **notes}, stack)
            _run_once(runner, network.device)
    except BaseException:
        stack.close()
        raise
    return runner


def _run_once(runner: TorchRunner, device: DeviceSpec) -> None:
    try:
        runner.run()
    except RuntimeError as error:
        if "not implemented for 'Half'" not in str(error):
            raise
        raise CandidateFault(
            "unsupported", f"torch has no {device.precision} here for an operation of the network: {error}"
        ) from error


def _processor(device: DeviceSpec) -> torch.device:
    """The one that is asked for.

    Raises:
        WorldFault: `wrong_processor`.
    """
    if device.provider is None:
        return pick_device()
    is_here: Mapping[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if not is_here[device.provider]():
        raise WorldFault(
            "wrong_processor",
            f"torch can't run the network on {device.provider} here; nothing was measured. "
            "Install a build of torch for it, or name another provider",
        )
    return torch.device(device.provider)


def _conditions(device: DeviceSpec, where: torch.device) -> dict[str, object]:
    name = {"processor": torch.cuda.get_device_name(where)} if where.type == "cuda" else {}
    return {
        **versions(),
        **name,
        "runtime": str(device.runtime),
        "provider": where.type,
        "device": str(where),
        "precision": str(device.precision),
        "batch": device.batch,
        "threads": device.threads,
    }


def _closed(_: Tensor) -> object:
    raise RuntimeError("the runner is closed")


_WAITS: Mapping[str, Callable[[], None]] = {
    "cpu": lambda: None,
    "cuda": torch.cuda.synchronize,
    "mps": torch.mps.synchronize,
}
