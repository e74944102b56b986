"""Energy from real counters alone, read from files as Linux has them: wrapped counters, rails, and none at all."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nasd.errors import FunctionError, WorldFault
from nasd.profiling.energy import Stretch, measure_energy, net_energy
from nasd.profiling.meters import CounterMeter, available, open_meter


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def rapl(root: Path, name: str, *, kind: str = "package-0", energy_uj: int = 0, most_uj: int = 1_000_000) -> Path:
    write(root / "class/powercap" / name / "name", kind)
    write(root / "class/powercap" / name / "max_energy_range_uj", most_uj)
    return write(root / "class/powercap" / name / "energy_uj", energy_uj)


def ina(root: Path, chip: str, rails: dict[int, tuple[str, int, int]]) -> Path:
    """(label, millivolts, milliamperes) by channel."""
    folder = root / "class/hwmon" / chip
    write(folder / "name", "ina3221")
    for number, (label, millivolts, milliamperes) in rails.items():
        write(folder / f"in{number}_label", label)
        write(folder / f"in{number}_input", millivolts)
        write(folder / f"curr{number}_input", milliamperes)
    return folder


def test_where_no_meter_is_there_is_none(tmp_path) -> None:
    """Others invent watts from a table; an objective of invented numbers would rank nothing."""
    assert available(sys=tmp_path) is None
    assert open_meter(on_gpu=False, sys=tmp_path) is None


def test_a_packages_counter_that_begins_anew_goes_on(tmp_path) -> None:
    """It wraps every quarter of an hour on a busy server; a difference below zero would be negative energy."""
    counter = rapl(tmp_path, "intel-rapl:0", energy_uj=900_000)
    meter = open_meter(on_gpu=False, sys=tmp_path)
    assert (meter.source, meter.scope) == ("rapl", "package")
    begin = meter.joules()
    write(counter, 50_000)
    assert meter.joules() - begin == pytest.approx(0.15)
    write(counter, 250_000)
    assert meter.joules() - begin == pytest.approx(0.35)


def test_packages_are_summed_and_their_parts_are_not_counted_twice(tmp_path) -> None:
    """intel-rapl:0:0 is the cores of intel-rapl:0; psys holds the packages."""
    first, second = rapl(tmp_path, "intel-rapl:0"), rapl(tmp_path, "intel-rapl:1", kind="package-1")
    cores, board = rapl(tmp_path, "intel-rapl:0:0", kind="core"), rapl(tmp_path, "intel-rapl:2", kind="psys")
    meter = open_meter(on_gpu=False, sys=tmp_path)
    for counter in (first, second, cores, board):
        write(counter, 100_000)
    assert meter.joules() == pytest.approx(0.2)


def test_a_counter_that_may_not_be_read_is_no_meter(tmp_path) -> None:
    """Most distributions keep it for root since 2020; then energy is unavailable, and nothing fails later."""
    counter = rapl(tmp_path, "intel-rapl:0")
    counter.unlink()
    counter.mkdir()  # root reads everything else
    assert available(sys=tmp_path) is None


def test_a_boards_supply_is_taken_alone(tmp_path) -> None:
    """The other rails hang on it."""
    ina(tmp_path, "hwmon3", {1: ("VDD_IN", 5000, 2000), 2: ("VDD_CPU_GPU_CV", 5000, 1000), 3: ("VDD_SOC", 5000, 500)})
    meter = open_meter(on_gpu=False, sys=tmp_path)
    try:
        assert (meter.source, meter.scope) == ("ina", "board")
        begin, before = meter.joules(), time.perf_counter()
        time.sleep(0.2)
        joules, seconds = meter.joules() - begin, time.perf_counter() - before
    finally:
        meter.close()
    assert joules == pytest.approx(10.0 * seconds, rel=0.1)


def test_rails_without_a_supply_are_summed_and_named(tmp_path) -> None:
    """A number of part of a board says of which."""
    ina(tmp_path, "hwmon0", {1: ("GPU", 1000, 1000), 2: ("CPU", 1000, 3000), 7: ("sum of shunt voltages", 1, 1)})
    meter = open_meter(on_gpu=True, sys=tmp_path)
    meter.close()
    assert meter.scope == "GPU+CPU"


def test_a_sensor_that_goes_away_is_the_worlds_fault(tmp_path) -> None:
    """The evaluation is tried again elsewhere; the network is not to blame."""
    chip = ina(tmp_path, "hwmon0", {1: ("VDD_IN", 5000, 2000)})
    meter = open_meter(on_gpu=False, sys=tmp_path)
    (chip / "curr1_input").unlink()
    with pytest.raises(WorldFault, match="ina"):
        meter.joules()
    meter.close()


def test_no_thread_stays_behind(tmp_path) -> None:
    """A worker asks for meters at every start."""
    ina(tmp_path, "hwmon0", {1: ("VDD_IN", 5000, 2000)})
    before = threading.active_count()
    assert available(sys=tmp_path) == "ina"
    assert threading.active_count() == before


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A package `bench_meter` that counts ten joules a second, as one with a serial line would."""
    text = "import time\n\ndef joules():\n    return 10 * time.perf_counter()\n\ndef broken():\n    return 'a lot'\n"
    (tmp_path / "bench_meter.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "bench_meter"
    sys.modules.pop("bench_meter", None)


def test_an_external_meter_is_a_function_from_an_allowed_package(plug_in, tmp_path) -> None:
    """It comes first: who connects one wants it. What was not allowed is not imported."""
    rapl(tmp_path, "intel-rapl:0")
    found = available(external=f"{plug_in}:joules", allow={plug_in}, sys=tmp_path)
    assert found == "external"
    with pytest.raises(FunctionError, match="may not import bench_meter"):
        available(external=f"{plug_in}:joules", sys=tmp_path)
    assert available(external=f"{plug_in}:broken", allow={plug_in}) is None


class Sleeper:
    """A network that takes a millisecond; `burnt` are its joules."""

    conditions = {"runtime": "sleep"}  # noqa: RUF012
    n_samples = 4

    def __init__(self) -> None:
        self.burnt = 0.0

    def run(self) -> None:
        time.sleep(0.001)
        self.burnt += 0.008

    def close(self) -> None: ...


def test_a_pass_costs_what_it_takes_beyond_idling() -> None:
    """The machine's own 5 W are nobody's; 8 mJ a pass of four samples are 2 mJ each."""
    runner = Sleeper()
    meter = CounterMeter("external", "external", lambda: runner.burnt + 5 * time.perf_counter())
    found = measure_energy(runner, meter, exclusive=contextlib.nullcontext, seconds=1.0)
    assert found.value == pytest.approx(2.0, rel=0.05)
    assert found.unit == "mJ"
    assert found.spread < 0.5
    expected = {"runtime": "sleep", "source": "external", "scope": "external", "idle_subtracted": True}
    assert expected == {name: found.conditions[name] for name in expected}
    assert found.conditions["idle_w"] == pytest.approx([5, 5], rel=0.05)
    assert found.conditions["seconds"] >= 1.0


def test_a_counter_that_moves_ten_times_a_second_is_read_at_its_movements() -> None:
    """A GPU's does: what lies between two movements would be lost or counted twice."""
    runner = Sleeper()
    meter = CounterMeter("nvml", "gpu", lambda: 0.5 * int(10 * time.perf_counter()) + (runner.burnt // 0.4) * 0.4)
    found = measure_energy(runner, meter, exclusive=contextlib.nullcontext, seconds=2.0)
    assert found.value == pytest.approx(2.0, rel=0.15)


def stretch(watts: float, *, n_runs: int = 100) -> Stretch:
    return Stretch(seconds=1.0, joules=watts, n_runs=n_runs)


def test_a_network_that_can_not_be_told_from_idling_has_no_energy() -> None:
    """Zero or less would win every comparison."""
    with pytest.raises(WorldFault, match="no difference from idling"):
        net_energy(stretch(5), [stretch(5)], stretch(5.1), n_samples=1, conditions={"source": "rapl"})


def test_an_idle_power_that_moved_puts_the_value_in_doubt() -> None:
    """Somebody else woke up: what was subtracted is a guess."""
    steady = [stretch(15), stretch(15)]
    found = net_energy(stretch(4), steady, stretch(6), n_samples=1, conditions={"source": "rapl"})
    assert found.value == pytest.approx(100.0)
    assert "unsteady" not in found.conditions
    doubted = net_energy(stretch(2), steady, stretch(8), n_samples=1, conditions={"source": "rapl"})
    assert doubted.conditions["unsteady"] == "idle power drifted by 60% of the net power"


NVML = """
NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1
class NVMLError(Exception): ...
millijoules = [1000]
def nvmlInit(): ...
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetHandleByUUID(uuid): return uuid
def nvmlDeviceGetTotalEnergyConsumption(gpu):
    if gpu == 7:
        raise NVMLError("Not Supported")
    millijoules[0] += 500
    return millijoules[0]
def nvmlDeviceGetTemperature(gpu, sensor): return 61
def nvmlDeviceGetClockInfo(gpu, clock): raise NVMLError("Not Supported")
def nvmlDeviceGetCurrentClocksThrottleReasons(gpu): return 0x24
"""
ASK = """
import sys
from pathlib import Path
from nasd.profiling.gpu import first_gpu
from nasd.profiling.meters import open_meter
from nasd.profiling.thermal import Watch
root = Path(sys.argv[1])
meter = open_meter(on_gpu=True, sys=root)
on_gpu, on_cpu = Watch.of({"device": "cuda:0"}), Watch.of({"device": "cpu"})
print(first_gpu() and first_gpu()._handle, meter and (meter.source, meter.scope, meter.joules() - meter.joules()),
      on_gpu.now() == {"temperature_c": 61.0}, on_gpu.throttling(), open_meter(on_gpu=False, sys=root))
"""


def asked(tmp_path: Path, visible: str) -> str:
    """Of a machine whose NVML is the one above, which stands in for a driver that no test machine has."""
    (tmp_path / "pynvml.py").write_text(NVML)
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "sys")],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "CUDA_VISIBLE_DEVICES": visible},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_gpus_own_counter_is_read_for_what_runs_on_the_gpu_alone(tmp_path) -> None:
    """A processor's network costs a GPU nothing; what holds the GPU back is told of what runs there."""
    told = "True {'throttled': ['power_cap', 'thermal_limit']} None"
    assert asked(tmp_path, "3,4") == f"3 ('nvml', 'gpu', -0.5) {told}"
    assert asked(tmp_path, "GPU-1a2b") == f"GPU-1a2b ('nvml', 'gpu', -0.5) {told}"


def test_a_gpu_that_does_not_count_has_no_meter(tmp_path) -> None:
    """Those before Volta."""
    assert asked(tmp_path, "7").startswith("7 None True")
