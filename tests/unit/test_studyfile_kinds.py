"""Device kinds may be added to a study that has trials; nothing else of it may change with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.errors import StudyFileError
from nasd.studyfile import load, refuse_changes, with_found, with_joined, with_kind

PI5, ORIN = DeviceKind("pi5"), DeviceKind("orin")
OLD = """
[objectives]
val_error = {}
latency_ms = { on = ["local", "pi5"] }
peak_memory_bytes = {}
[[limits]]
of = "params"
max = 90000
[devices.pi5]
threads = 4
[budget]
trials = 9
"""


@pytest.fixture
def file(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "kitchen.toml"
        path.write_text(text)
        return path

    return written


def changed(file, *edits: tuple[str, str]):
    old = load(file(OLD))
    text = OLD
    for before, after in edits:
        assert before in text
        text = text.replace(before, after, 1)
    path = file(text)
    return old, load(path), path


GROWN = ('["local", "pi5"]', '["local", "pi5", "orin"]')
TABLE = ("[budget]", '[devices.orin]\nruntime = "onnxruntime"\nprecision = "int8"\n[budget]')
LIMIT = ("[devices.pi5]", '[[limits]]\nof = "latency_ms"\non = "orin"\nmax = 3\n[devices.pi5]')


@pytest.mark.parametrize(
    "edits", [(GROWN,), (GROWN, TABLE), (GROWN, TABLE, LIMIT), (GROWN, ("trials = 9", "trials = 12"))]
)
def test_a_kind_more_is_no_change_of_what_the_trials_mean(file, edits):
    """A user buys a board and writes it into the file: the study goes on."""
    old, new, path = changed(file, *edits)
    refuse_changes(old, new, file=path)


@pytest.mark.parametrize(
    ("edits", "key"),
    [
        ((('["local", "pi5"]', '["pi5", "local"]'),), "objectives.latency_ms.on"),
        ((('["local", "pi5"]', '["orin", "local", "pi5"]'),), "objectives.latency_ms.on"),
        ((('["local", "pi5"]', '["local"]'), ("[devices.pi5]\nthreads = 4\n", "")), "devices.pi5.runtime"),
        ((("threads = 4", "threads = 2"),), "devices.pi5.threads"),
        ((GROWN, ("threads = 4", "threads = 2")), "devices.pi5.threads"),
        ((GROWN, ("max = 90000", "max = 80000")), "limits"),
        ((GROWN, ("[devices.pi5]", '[[limits]]\nof = "latency_ms"\non = "pi5"\nmax = 3\n[devices.pi5]')), "limits"),
        ((GROWN, LIMIT, ("max = 90000", "max = 80000")), "limits"),
        (((LIMIT[0], LIMIT[1].replace("orin", "pi5")),), "limits"),
    ],
)
def test_whatever_changes_with_it_is_refused_by_its_key(file, edits, key):
    """Values measured under other settings must not meet on one front."""
    old, new, path = changed(file, *edits)
    with pytest.raises(StudyFileError) as refused:
        refuse_changes(old, new, file=path)
    assert refused.value.key == key


def test_a_kind_is_added_at_the_end_of_all_that_is_measured(file):
    """The order of kinds is the order of their turns."""
    spec = with_kind(load(file(OLD)), ORIN, DeviceSpec(runtime=Runtime.ONNX, precision=DevicePrecision.INT8))
    assert spec.device_kinds() == (LOCAL, PI5, ORIN)
    assert spec.objectives["latency_ms"].on == ("local", "pi5", "orin")
    assert spec.objectives["peak_memory_bytes"].on == ("local", "orin")
    assert spec.device_on(ORIN).artifact == "onnx-int8"
    assert spec.devices[PI5].threads == 4

    alone = with_kind(load(file(OLD)), ORIN, None, of=("latency_ms",))
    assert alone.objectives["peak_memory_bytes"].on == ("local",)


def test_what_measures_nothing_has_no_kind_to_add(file):
    """One sentence, not a study without an end."""
    spec = load(file("[objectives]\nval_error = {}\nparams = {}\n[budget]\ntrials = 9\n"))
    with pytest.raises(ValueError, match="measures nothing on a device"):
        with_kind(spec, ORIN, None)
    with pytest.raises(ValueError, match="val_error: is no measured objective of study kitchen; it has latency_ms"):
        with_kind(load(file(OLD)), ORIN, None, of=("val_error",))


def test_a_file_without_the_kind_that_joined_still_runs_its_study(file):
    """`nasd measure` changes rows, not the user's file; the same command must go on working."""
    spec = load(file(OLD))
    stored = with_kind(spec, ORIN, DeviceSpec(threads=2))
    assert with_joined(spec, stored, {LOCAL: 0, PI5: 0, ORIN: 9}) == stored
    assert with_joined(spec, stored, {LOCAL: 0, PI5: 0}) == stored  # the leader has not let it in yet
    assert with_joined(stored, stored, {LOCAL: 0, PI5: 0, ORIN: 9}) == stored
    # a founding kind that the file lost is a change, and is refused as one
    less = load(file(OLD.replace('["local", "pi5"]', '["local"]').replace("[devices.pi5]\nthreads = 4\n", "")))
    assert with_joined(less, spec, {LOCAL: 0, PI5: 0}) == less
    assert with_joined(less, spec, {}) == less


def test_what_a_warm_start_found_stays(file):
    """Files and other studies go on changing."""
    spec = load(file(OLD))
    assert with_found(spec, replace(spec, seed=3)) == spec
