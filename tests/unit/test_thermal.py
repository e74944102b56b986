"""What the machine tells of its heat and clocks, read from files as Linux, a Raspberry Pi and a Jetson have them."""

from pathlib import Path

from nasd.profiling import thermal
from nasd.profiling.machine import summed


def write(root: Path, files: dict[str, object]) -> None:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def test_a_machine_that_tells_nothing_has_no_such_conditions(tmp_path) -> None:
    """An absent key, never a zero: a virtual machine has neither sensors nor clocks."""
    assert (thermal.now(tmp_path), thermal.settings(tmp_path), thermal.throttling(tmp_path)) == ({}, {}, {})


def test_the_hottest_sensor_of_the_processor_counts_and_no_other(tmp_path) -> None:
    """A disk at 60 degrees slows no network down."""
    zones = "sys/class/thermal/thermal_zone"
    write(tmp_path, {f"{zones}0/type": "cpu-thermal", f"{zones}0/temp": 71_250})
    write(tmp_path, {f"{zones}1/type": "wifi", f"{zones}1/temp": 90_000})
    write(tmp_path, {"sys/class/hwmon/hwmon0/name": "nvme", "sys/class/hwmon/hwmon0/temp1_input": 99_000})
    write(tmp_path, {"sys/class/hwmon/hwmon1/name": "coretemp", "sys/class/hwmon/hwmon1/temp2_input": 75_000})
    assert thermal.now(tmp_path) == {"temperature_c": 75.0}


def test_the_clock_is_the_mean_of_all_cores(tmp_path) -> None:
    """In kHz there, in MHz here; a core that is offline has none."""
    cores = {
        f"sys/devices/system/cpu/cpu{i}/cpufreq/scaling_cur_freq": khz for i, khz in enumerate((1_500_000, 2_400_000))
    }
    write(tmp_path, {**cores, "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "<unknown>"})
    assert thermal.now(tmp_path) == {"frequency_mhz": 1950.0}


def test_what_is_set_is_told_apart_from_what_happens(tmp_path) -> None:
    """A kind in another power mode is another device."""
    policy = "sys/devices/system/cpu/cpu0/cpufreq"
    write(tmp_path, {f"{policy}/scaling_governor": "schedutil", f"{policy}/scaling_max_freq": 2_400_000})
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002"})
    assert thermal.settings(tmp_path) == {
        "governor": "schedutil", "frequency_limit_mhz": 2400.0, "power_mode": "pmode:0002",
    }  # fmt: skip


def test_a_pis_throttling_has_words(tmp_path) -> None:
    """0x50005: under voltage and throttled now (the upper half says that it once was)."""
    write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005"})
    assert thermal.throttling(tmp_path) == {"throttled": ["under_voltage", "throttled"]}
    write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "0"})
    assert thermal.throttling(tmp_path) == {"throttled": []}


def test_several_stretches_of_load_are_weighed_by_their_length() -> None:
    """A busy millisecond is not a busy second."""
    long, short = ({"exclusive_s": s, "others_cores": c, "steal_cores": 0.0} for s, c in ((0.3, 1.0), (0.1, 0.0)))
    assert summed([long, {}, short]) == {"exclusive_s": 0.4, "others_cores": 0.75, "steal_cores": 0.0}
    assert summed([{}, {}]) == {}
