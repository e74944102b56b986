"""Where weights begin and which of them stay: [model] init and freeze."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

from nasd.errors import CandidateFault, WorldFault
from nasd.usercode import file_sha256

_SHOWN = 20  # names of each kind of mismatch


def load_weights(module: nn.Module, file: str, *, sha256: str | None = None) -> dict[str, object]:
    """Copy every tensor of a safetensors file whose name and shape are the module's; say in the log what did not fit.

    Args:
        module: on the CPU.
        file: its path; relative to the current folder.
        sha256: as the study recorded it; None: not recorded.

    Returns:
        For conditions: `file`, `sha256`, `loaded` (how many) and the names `missing` (the module's alone), `unexpected`
        (the file's alone) and `wrong_shape`, the first twenty of each.

    Raises:
        CandidateFault: `init_mismatch`, nothing fits.
        WorldFault: `init_missing`, `init_unreadable`, or `init_changed`: not the file that the study recorded.
    """
    shown = f'model.init = "{file}"'
    try:
        found = file_sha256(Path(file))
    except OSError as error:
        raise WorldFault(
            "init_missing", f"{shown}: {error.strerror}. Put the file there, seen from {Path.cwd()}"
        ) from error
    if sha256 is not None and found != sha256:
        raise WorldFault("init_changed", f"{shown}: hashes to {found[:12]} here, the study recorded {sha256[:12]}")
    stored, own = _read(file, shown), module.state_dict(keep_vars=False)
    fitting = [name for name in own if name in stored and stored[name].shape == own[name].shape]
    report: dict[str, list[str]] = {
        "missing": [name for name in own if name not in stored],
        "unexpected": [name for name in stored if name not in own],
        "wrong_shape": [
            f"{name}: {tuple(own[name].shape)} here, {tuple(stored[name].shape)} in the file"
            for name in own
            if name in stored and stored[name].shape != own[name].shape
        ],
    }
    _print(shown, len(fitting), report)
    if not fitting:
        raise CandidateFault("init_mismatch", f"{shown}: none of its {len(stored)} tensors fits; {_sentence(report)}")
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(stored[name])
    return {
        "file": file,
        "sha256": found,
        "loaded": len(fitting),
        **{kind: names[:_SHOWN] for kind, names in report.items() if names},
    }


def freeze(module: nn.Module, patterns: Sequence[str]) -> int:
    """Exclude parameters whose names match from training; how many.

    Raises:
        CandidateFault: `init_mismatch`, a pattern that matches nothing, or nothing is left to train.
    """
    names = [name for name, _ in module.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(names[:_SHOWN]) or "none"
            raise CandidateFault("init_mismatch", f'model.freeze: "{pattern}" matches no parameter; they are: {some}')
    frozen = {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
    for name, parameter in module.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise CandidateFault("init_mismatch", f"model.freeze = {list(patterns)}: leaves nothing to train")
    return len(frozen)


def _read(file: str, shown: str) -> Mapping[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise WorldFault(
            "init_unreadable", f"{shown}: needs the package safetensors. pip install safetensors"
        ) from error
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise WorldFault("init_unreadable", f"{shown}: is not a safetensors file: {error}. Save it as one") from error
    return tensors


def _sentence(report: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(names[:3])}" for kind, names in report.items() if names)


def _print(shown: str, n_loaded: int, report: Mapping[str, Sequence[str]]) -> None:
    """Into the trial's log."""
    print(f"{shown}: {n_loaded} tensors loaded")
    for kind, names in report.items():
        for name in names[:_SHOWN]:
            print(f"  {kind}: {name}")
        if len(names) > _SHOWN:
            print(f"  {kind}: {len(names) - _SHOWN} more")
