"""Energy meters of this machine: counters of joules so far. Where there is none there is none: nothing is estimated.

| source   | reads                                                            | scope                       |
| external | the user's own function, `NASD_METER=package.module:function`    | whatever it is connected to |
| nvml     | the GPU's own counter (Volta and newer)                          | gpu                         |
| ina      | power sensors on a board's supply (Jetson's INA3221, INA219 ...) | board, or the rails it has  |
| rapl     | `/sys/class/powercap`, Intel's and AMD's                         | package                     |
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nasd.errors import WorldFault
from nasd.profiling.gpu import first_gpu
from nasd.usercode import load_function

_SYS = Path("/sys")
_RAILS = 8  # channels that any INA has
_IS_SUPPLY = ("VDD_IN", "5V_IN", "POM_5V_IN", "SYS_IN")  # a Jetson's rail that feeds the others
_SAMPLE_S = 0.02


class Meter(Protocol):
    """Joules so far, from any beginning; differences count. `close` ends it."""

    @property
    def source(self) -> str: ...

    @property
    def scope(self) -> str: ...

    def joules(self) -> float:
        """Never less than before.

        Raises:
            WorldFault: `meter`, it can't be read any more.
        """

    def close(self) -> None: ...


def open_meter(
    *, on_gpu: bool, external: str | None = None, allow: Collection[str] = (), sys: Path = _SYS
) -> Meter | None:
    """The best meter for networks that run on this machine's GPU (`on_gpu`) or on its processor; None: there is none.

    The user's own counts first, then the nearest to the processor in question, a whole board before a package.

    Args:
        external: `package.module:function`, joules so far without arguments; from packages of `allow` alone.

    Raises:
        FunctionError: `external` can't be had.
    """
    if external is not None:
        return CounterMeter("external", "external", _external(external, allow))
    if on_gpu and (gpu := _nvml()) is not None:
        return gpu
    if (board := _ina(sys)) is not None:
        return board
    return None if on_gpu else _rapl(sys)


def available(
    *, on_gpu: bool = False, external: str | None = None, allow: Collection[str] = (), sys: Path = _SYS
) -> str | None:
    """The source of the meter that `open_meter` finds and that can be read now; None: energy is unavailable here."""
    meter = open_meter(on_gpu=on_gpu, external=external, allow=allow, sys=sys)
    if meter is None:
        return None
    try:
        meter.joules()
    except WorldFault:
        return None
    finally:
        meter.close()
    return meter.source


@dataclass(frozen=True, slots=True)
class CounterMeter:
    """A counter that somebody else keeps."""

    source: str
    scope: str
    read: Callable[[], float]

    def joules(self) -> float:
        """See `Meter`."""
        try:
            found = float(self.read())
        except Exception as error:  # a plug-in of the user's or a driver may raise anything
            raise WorldFault("meter", f"the energy meter {self.source}: {type(error).__name__}: {error}") from error
        if not math.isfinite(found):
            raise WorldFault("meter", f"the energy meter {self.source} reads {found}: no number of joules")
        return found

    def close(self) -> None:
        """Nothing is held."""


class WrappingCounter:
    """A counter of microjoules in a file that begins anew at its largest value. Read it at least once a round."""

    def __init__(self, file: Path, *, range_uj: float) -> None:
        self._file, self._range_uj = file, range_uj
        self._last_uj, self._sum_uj = self._now(), 0.0

    def joules(self) -> float:
        """Since this was made."""
        now = self._now()
        step = now - self._last_uj
        self._sum_uj += step if step >= 0 else step + self._range_uj
        self._last_uj = now
        return self._sum_uj / 1e6

    def _now(self) -> float:
        return float(self._file.read_text())


class SampledMeter:
    """A sensor of watts, read every 20 ms by a thread and summed up (trapezoids)."""

    def __init__(self, source: str, scope: str, watts: Callable[[], float]) -> None:
        self.source, self.scope, self._watts = source, scope, watts
        self._lock = threading.Lock()
        self._at, self._power, self._sum = time.perf_counter(), watts(), 0.0
        self._error: OSError | ValueError | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="meter", daemon=True)
        self._thread.start()

    def joules(self) -> float:
        """See `Meter`."""
        self._take()
        if self._error is not None:
            raise WorldFault("meter", f"the energy meter {self.source} can't be read any more: {self._error}")
        with self._lock:
            return self._sum

    def close(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            self._take()

    def _take(self) -> None:
        with self._lock:
            try:
                power = self._watts()
            except (OSError, ValueError) as error:
                self._error = error
                return
            now = time.perf_counter()
            self._sum += (now - self._at) * (power + self._power) / 2
            self._at, self._power = now, power


def _external(dotted: str, allow: Collection[str]) -> Callable[[], float]:
    return load_function(dotted, what="NASD_METER", allow=allow)


def _rapl(sys: Path) -> Meter | None:
    """The packages' sum; None where one can't be read, which most systems allow to root alone."""
    folders = [path for path in sorted((sys / "class/powercap").glob("*-rapl:*")) if path.name.count(":") == 1]
    packages = [path for path in folders if _text(path / "name").startswith("package")]
    try:
        counters = [
            WrappingCounter(path / "energy_uj", range_uj=float((path / "max_energy_range_uj").read_text()))
            for path in packages
        ]
    except (OSError, ValueError):
        return None
    if not counters:
        return None
    return CounterMeter("rapl", "package", lambda: sum(counter.joules() for counter in counters))


def _ina(sys: Path) -> Meter | None:
    """Of all INA chips: the rail that feeds the board, else all rails together."""
    chips = [path.parent for path in sorted((sys / "class/hwmon").glob("hwmon*/name")) if _text(path).startswith("ina")]
    rails = [rail for chip in chips for rail in _rails(chip)]
    supplies = [rail for rail in rails if rail[0].upper() in _IS_SUPPLY]
    chosen = supplies or rails
    if not chosen:
        return None

    def watts() -> float:
        return sum(read() for _, read in chosen)

    try:
        return SampledMeter("ina", "board" if supplies else "+".join(name for name, _ in chosen), watts)
    except (OSError, ValueError):
        return None


def _rails(chip: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """(label, watts) of every channel that has a power, or a voltage and a current."""
    for number in range(1, _RAILS + 1):
        power, volts, amperes = (chip / f"{what}{number}_input" for what in ("power", "in", "curr"))
        label = _text(chip / f"in{number}_label") or f"{_text(chip / 'name')} {number}"
        if label.startswith("sum of"):
            continue
        if volts.exists() and amperes.exists():  # millivolts, milliamperes
            yield label, lambda volts=volts, amperes=amperes: _number(volts) * _number(amperes) / 1e6  # type: ignore[misc]
        elif power.exists():  # microwatts
            yield label, lambda power=power: _number(power) / 1e6  # type: ignore[misc]


def _nvml() -> Meter | None:
    gpu = first_gpu()
    if gpu is None:
        return None
    meter = CounterMeter("nvml", "gpu", gpu.joules)
    try:
        meter.joules()
    except WorldFault:  # older than Volta: it does not count
        return None
    return meter


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> float:
    return float(path.read_text())
