"""A process's peak as Linux counts it: freed memory counts, what was before does not, and nothing is left behind."""

import pytest

from nasd.domain.architecture import Architecture
from nasd.errors import WorldFault
from nasd.profiling.process_memory import Peak, measured_in_child

MIB = 1 << 20
PROBLEM = {"input_shape": [1, 8, 8], "n_outputs": 10, "task": "classification", "vocabulary": 0}


def fill(mib: int) -> None:
    """Take memory and give it back."""
    block = bytearray(mib * MIB)
    block[::4096] = b"x" * len(block[::4096])  # pages exist when they are written


def fail() -> None:
    raise ValueError("no such network")


def test_memory_that_was_freed_again_counts() -> None:
    """The peak decides whether something fits. The kernel counts in batches of pages: a MiB may be missing."""
    with Peak() as peak:
        fill(60)
    assert 59 * MIB <= peak.found.growth < 64 * MIB


def test_what_a_process_did_before_does_not_count() -> None:
    """ru_maxrss would still say 200 MiB."""
    fill(200)
    with Peak() as peak:
        fill(20)
    assert peak.found.growth < 24 * MIB


def test_a_fresh_process_is_watched_from_outside(tmp_path, monkeypatch) -> None:
    """What this process has loaded or kept is not in it."""
    monkeypatch.setenv("PYTHONPATH", str(__file__).rpartition("/")[0])
    found = measured_in_child("test_process_memory:fill", 100)
    assert 99 * MIB <= found.growth < 104 * MIB
    assert found.base < 100 * MIB
    with pytest.raises(WorldFault, match="no such network"):
        measured_in_child("test_process_memory:fail")


def test_a_larger_network_takes_more() -> None:
    """In whole processes, torch included: weights of 35 MiB against some KiB."""
    peaks = []
    for layers, width in ((1, 16), (8, 1024)):
        genes = {
            "layers": layers, "widths": [width] * layers, "activation": "relu", "norm": "none", "dropout": 0.0,
        }  # fmt: skip
        assert Architecture.of("mlp", genes).space == "mlp"
        peaks.append(measured_in_child("nasd.profiling.workloads:inference", "mlp", genes, PROBLEM, 8))
    assert peaks[1].growth - peaks[0].growth > 25 * MIB
    assert peaks[0].base == pytest.approx(peaks[1].base, rel=0.1)
