"""Which build of torch the scripts would download: gigabytes never unasked."""

import importlib.util
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def torch_build():
    """The script as a module; `scripts` is no package."""
    spec = importlib.util.spec_from_file_location("torch_build", ROOT / "scripts" / "torch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(*needs, url="file:///none", version="2.13.0"):
    """One package of pip's report."""
    return {"metadata": {"version": version, "requires_dist": list(needs)}, "download_info": {"url": url}}


def test_a_cuda_build_is_known_by_what_it_needs(torch_build):
    """Since 2.13 the wheel's name doesn't say it, on Arm neither."""
    always = 'python_version >= "3"'

    assert torch_build.needs_cuda(package("filelock", f"nvidia-cudnn-cu13==9; {always}"))
    assert torch_build.needs_cuda(package("cuda-toolkit[nvrtc]==13.0"))
    assert not torch_build.needs_cuda(package("filelock", "sympy>=1.13.3"))
    assert not torch_build.needs_cuda(package('nvidia-nccl-cu13==2; platform_system == "Nowhere"'))
    assert not torch_build.needs_cuda(package('triton==3; extra == "compile"'))


def test_a_cuda_build_stops_unless_it_was_asked_for(torch_build):
    """Says its size and how to choose the CPU build with pip's own settings."""
    code, sentence = torch_build.verdict("2.13.0", 2_600_000_000, is_cuda=True, is_asked=False)

    assert code == 2
    assert "2.6 GB" in sentence
    assert all(
        name in sentence for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "NASD_TORCH=cuda")
    )
    assert torch_build.verdict("2.13.0", None, is_cuda=True, is_asked=True)[0] == 0


def test_a_cpu_build_says_its_size_and_goes_on(torch_build, tmp_path):
    """200 MB are worth a line."""
    wheel = tmp_path / "torch 2.whl"
    wheel.write_bytes(b"x" * 3_000_000)

    size = torch_build.download_bytes([package(url=wheel.as_uri())])

    assert torch_build.verdict("2.13.0+cpu", size, is_cuda=False, is_asked=False) == (
        0,
        "torch 2.13.0+cpu (CPU build) is about 3 MB to download.",
    )
    assert torch_build.download_bytes([package(url="file:///no/such/file")]) is None


def test_an_installed_build_is_taken_as_it_is(torch_build):
    """Whatever its local part says: 2.13.0+cpu satisfies 2.13.0."""
    wanted = torch_build.torch_requirement((ROOT / "requirements.txt").read_text())

    assert wanted.specifier.contains("2.13.0+cpu")
    assert not torch_build.is_installed(Requirement("torch==0.1"))


def test_requirements_are_exact_and_name_no_host():
    """The same environment everywhere; where packages come from is pip's own settings."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]

    assert all("==" in line and "://" not in line and not line.startswith("-") for line in packages)
    assert 'async-timeout==5.0.1 ; python_full_version < "3.11.3"' in packages
