"""Which build of torch would pip take, and how large is it? Keeps a script from downloading gigabytes unasked.

Called with the path of requirements.txt by the Python of an environment that has pip and nothing else.
Exit code 0: go on. 2: pip would take a CUDA build and nobody asked for one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

try:
    from packaging.requirements import Requirement
except ModuleNotFoundError:  # an environment that has pip and nothing else has pip's own copy
    from pip._vendor.packaging.requirements import Requirement

_CUDA = ("nvidia-", "cuda-", "triton")
_GB = 1e9
_CPU_GUESS = 200e6  # 2.13's CPU wheel for Linux; where the server doesn't say the size
_CUDA_GUESS = 3e9
_HOW_TO_CHOOSE = """\
To take the CPU build (about 0.2 GB) instead, tell pip where CPU builds are, with its own settings, and run this again:
    PIP_FIND_LINKS        a folder with a downloaded CPU wheel of torch, or
    PIP_EXTRA_INDEX_URL   the package index for CPU builds that PyTorch's "Get started" page names, or
    PIP_INDEX_URL         an index of your own that has CPU builds only.
To take the CUDA build, set NASD_TORCH=cuda and run this again."""


def main(requirements: Path) -> int:
    """Say what will be downloaded; the exit code says whether to go on."""
    wanted = torch_requirement(requirements.read_text(encoding="utf-8"))
    if is_installed(wanted):
        return 0
    report = pip_report(["--no-deps", str(wanted)])
    if report is None:
        print("error: pip could not find a build of torch; what it said stands above", file=sys.stderr)
        return 2
    package = packages(report)[0]
    is_cuda = needs_cuda(package)
    whole = pip_report([str(wanted)]) if is_cuda else report
    size = None if whole is None else download_bytes(packages(whole))
    is_asked = os.environ.get("NASD_TORCH", "").lower() == "cuda"
    code, sentence = verdict(version(package), size, is_cuda=is_cuda, is_asked=is_asked)
    print(sentence, file=sys.stderr)
    return code


def verdict(name: str, size: int | None, *, is_cuda: bool, is_asked: bool) -> tuple[int, str]:
    """The exit code and what to say.

    Args:
        name: of the build, 2.13.0+cpu.
        size: bytes to download with what it needs; None where that could not be learned.
        is_cuda: whether it needs CUDA libraries.
        is_asked: whether the user asked for those.
    """
    if not is_cuda:
        return 0, f"torch {name} (CPU build) is about {(size or _CPU_GUESS) / 1e6:.0f} MB to download."
    chosen = f"torch {name} as pip would choose it here is a CUDA build"
    what = f"{chosen}: about {(size or _CUDA_GUESS) / _GB:.1f} GB with what it needs"
    if is_asked:
        return 0, f"{what}; NASD_TORCH=cuda asks for it."
    return 2, f"error: {what}, and it is not downloaded unasked.\n{_HOW_TO_CHOOSE}"


def torch_requirement(text: str) -> Requirement:
    """The line about torch in a requirements file."""
    return next(Requirement(line) for line in text.splitlines() if line.startswith("torch=="))


def is_installed(wanted: Requirement) -> bool:
    """Whether this environment has it already, in whatever build."""
    try:
        return wanted.specifier.contains(importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_report(arguments: Sequence[str]) -> Mapping[str, object] | None:
    """What pip would install, by its own account; None where it can't."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    options = ["--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run([*command, *options, *arguments], stdout=subprocess.PIPE, check=False)
    return None if done.returncode else json.loads(done.stdout)


def packages(report: Mapping[str, object]) -> list[Mapping[str, dict]]:
    """The packages of a report."""
    found = report["install"]
    assert isinstance(found, list)
    return found


def version(package: Mapping[str, dict]) -> str:
    """Its version with the local part: 2.13.0+cpu."""
    return str(package["metadata"]["version"])


def needs_cuda(package: Mapping[str, dict]) -> bool:
    """Whether its metadata asks for CUDA libraries on this platform."""
    needs = map(Requirement, package["metadata"].get("requires_dist", []))
    return any(
        need.name.lower().startswith(_CUDA) and (need.marker is None or need.marker.evaluate({"extra": ""}))
        for need in needs
    )


def download_bytes(found: Sequence[Mapping[str, dict]]) -> int | None:
    """Summed sizes, asked of the servers without downloading; None where one of them doesn't say."""
    sizes = [_size(package["download_info"]["url"]) for package in found]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _size(url: str) -> int | None:
    try:
        if urlsplit(url).scheme == "file":
            return Path(unquote(urlsplit(url).path)).stat().st_size
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
