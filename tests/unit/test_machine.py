"""What a machine's own files say of it, on a folder that looks like one."""

from __future__ import annotations

from pathlib import Path

from nasd.domain.ids import LOCAL
from nasd.domain.measurement import Stage
from workers.devices import BESIDE_MIB, describe, stages_here, worker_info
from workers.machine import board, clocks, memory_mib, parsed_smi, power_mode, temperatures


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_clocks_governor_and_temperatures_of_a_board(tmp_path: Path) -> None:
    """They explain a number that another day's differs from."""
    system = written(
        tmp_path,
        {
            "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
            "devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "class/thermal/thermal_zone0/temp": "48312\n",
            "class/thermal/thermal_zone1/type": "broken\n",
            "class/thermal/thermal_zone1/temp": "n/a\n",
        },
    )
    assert clocks(system) == {"now_mhz": 1500.0, "max_mhz": 2400.0}
    assert power_mode(system) == "ondemand"
    assert temperatures(system) == {"cpu-thermal": 48.312}


def test_what_a_machine_does_not_say_is_absent(tmp_path: Path) -> None:
    """Never a made-up number."""
    assert (clocks(tmp_path), power_mode(tmp_path), temperatures(tmp_path), board(tmp_path)) == (None, None, {}, None)


def test_a_containers_memory_limit_counts(tmp_path: Path) -> None:
    """The kernel would kill an evaluation that was sent by the machine's memory."""
    assert memory_mib(written(tmp_path / "v2", {"fs/cgroup/memory.max": "1073741824\n"})) == 1024
    machine = memory_mib(tmp_path / "none")
    assert memory_mib(written(tmp_path / "free", {"fs/cgroup/memory.max": "max\n"})) == machine
    v1 = {"fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}
    assert memory_mib(written(tmp_path / "v1", v1)) == machine


def test_a_boards_own_name(tmp_path: Path) -> None:
    """The kernel ends it with a zero byte."""
    found = written(tmp_path, {"device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\x00"})
    assert board(found) == "Raspberry Pi 5 Model B Rev 1.0"


def test_the_drivers_table_of_gpus() -> None:
    """A Jetson's has no word for its memory."""
    found = parsed_smi("NVIDIA H200, 143771, 570.86, 700.00\nNVIDIA H200, 143771, 570.86, 700.00\n")
    assert found == {
        "name": "NVIDIA H200",
        "memory_mib": 143771,
        "driver": "570.86",
        "power_limit_w": 700.0,
        "count": 2,
    }
    orin = parsed_smi("Orin (nvgpu), [N/A], 540.4.0, [N/A]\n")
    assert orin == {"name": "Orin (nvgpu)", "memory_mib": None, "driver": "540.4.0", "power_limit_w": None, "count": 1}
    assert parsed_smi("NVIDIA-SMI has failed because it couldn't communicate with the driver.") is None


def test_a_worker_says_what_it_can_do() -> None:
    """The database gives it what its words and its memory allow, and nothing else."""
    info = worker_info(LOCAL, memory_limit_mib=100)
    assert {"torch", "torch-eager", "onnxruntime"} <= set(info.offers)
    assert info.memory_mib == 100
    assert set(info.stages) == set(stages_here())
    assert {Stage.TRAIN, Stage.MEASURE, Stage.EXPORT, Stage.RUN} == set(info.stages)
    assert worker_info(LOCAL).memory_mib == describe()["memory_mib"] - BESIDE_MIB
