"""A simulated fleet's file: what it makes of a study, and each mistake as a sentence with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasd.app.fleet import alike, crew_of, described, usable_cores
from nasd.app.fleet_file import Fleet
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, DeviceSpec, ObjectiveSpec, StudySpec
from nasd.errors import UserError
from nasd.studyfile import load

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDY = StudySpec(
    name="kitchen",
    objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("desk", "board"))},
    devices={"board": DeviceSpec(runtime="onnxruntime", precision="int8", threads=2)},
    budget=BudgetSpec(trials=5),
)
GOOD = """
[[workers]]
count = 2
stages = ["train", "export"]

[[workers]]
kind = "board"
stages = ["measure"]
cores = [0]
memory_mib = 512

[kinds.board]
runtime = "onnxruntime"
threads = 2
"""


@pytest.fixture
def fleet(tmp_path):
    """Reads a text as a fleet's file."""

    def read(text: str) -> Fleet:
        (tmp_path / "fleet.toml").write_text(text)
        return Fleet.read(tmp_path / "fleet.toml")

    return read


def test_each_process_is_started_as_its_group_says(fleet):
    """Kind, stages, CPUs and memory must reach the process, and nothing else."""
    crew = crew_of(fleet(GOOD), STUDY)

    assert [hand.arguments for hand in crew.hands] == [
        ("--device-kind", "local", "--stage", "export", "--stage", "train"),
        ("--device-kind", "local", "--stage", "export", "--stage", "train"),
        ("--device-kind", "board", "--stage", "measure"),
    ]
    assert [hand.cores for hand in crew.hands] == [None, None, frozenset(usable_cores()[:1])]
    assert [hand.environment for hand in crew.hands] == [{}, {}, {"NASD_WORKER__MEMORY_LIMIT_MIB": "512"}]


def test_what_is_applied_is_said_and_nothing_else(fleet):
    """Who reads the figures has to know what held a simulated device back."""
    assert described(fleet(GOOD), STUDY) == [
        "fleet: 2 as local: export, train; any core",
        "fleet: 1 as board: measure; runs onnxruntime, int8, batch 1, 2 threads; core 0; 512 MiB an evaluation",
    ]


def test_what_nobody_does_is_said(fleet):
    """A kind without a worker may still join; a study that stands for want of a trainer needs a word."""
    assert fleet(GOOD).missing(STUDY) == [
        "no worker of this fleet measures on desk: its front waits for one that joins"
    ]
    assert fleet('[[workers]]\nkind = "board"\nstages = ["measure"]').missing(STUDY)[1:] == [
        "no worker of this fleet serves export: trials wait for one that joins",
        "no worker of this fleet serves train: trials wait for one that joins",
    ]


def test_a_group_without_stages_serves_all_that_the_study_has(fleet):
    """And a stage that the study lacks starts nothing."""
    (hand,) = crew_of(fleet('[[workers]]\nkind = "desk"'), STUDY).hands
    assert hand.arguments[2:] == ("--stage", "export", "--stage", "measure", "--stage", "train")
    assert crew_of(fleet('[[workers]]\nstages = ["run"]'), STUDY).hands == ()


def test_without_a_fleet_workers_are_alike():
    """As `nasd run` has always started them."""
    assert [hand.arguments for hand in alike(STUDY, 2).hands] == [
        ("--device-kind", "local", "--stage", "export", "--stage", "measure", "--stage", "train")
    ] * 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"fleet\.toml: workers: must be at least one \[\[workers\]\] table"),
        ("[[workers]]\ncount = 0", r"fleet\.toml:2: workers\.count = 0: must be greater than 0"),
        ("[[workers]]\nkindd = 'a'", r"fleet\.toml:2: workers\.kindd = \"a\": no such key; known: kind, count, cores"),
        ("[[workers]]\n[kind.board]", r"fleet\.toml:2: kind: no such key; known: workers, kinds"),
        (
            "[[workers]]\n[kinds.board]\nthread = 1",
            r"fleet\.toml:3: kinds\.board\.thread = 1: no such key; known: runtime",
        ),
        ("[[workers]]\nstages = ['measur']", r"fleet\.toml:2: workers\.stages = \"measur\": must be 'train'"),
        ("[[workers]]\ncores = []", r"fleet\.toml:2: workers\.cores = \[\]: must not be empty"),
        ("[[workers]]\ncpu_quota = 0.5", r"fleet\.toml:1: workers.*: cpu_quota: single timed calls don't see it"),
        ("[[workers]]\ncpu_quota = 0.5\nstages = ['train', 'measure']", "cpu_quota: single timed calls don't see it"),
        ("[[workers]\n", r"fleet\.toml:1: not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_with_its_line(fleet, text, sentence):
    """A fleet that silently lacks a key would simulate something else."""
    with pytest.raises(UserError, match=sentence):
        fleet(text)


@pytest.mark.parametrize(
    ("text", "n_usable", "sentence"),
    [
        (
            '[[workers]]\nkind = "pi4"',
            2,
            r'fleet\.toml:2: workers\.kind = "pi4": study "kitchen" measures on desk, board alone',
        ),
        (
            "[[workers]]\nstages = ['train']\ncores = [0, 2]",
            2,
            r"cores = \[0, 2\]: this process may use 2 CPUs, 0 to 1",
        ),
        ("[[workers]]\nstages = ['train']\ncores = [0]", None, "can't pin processes to CPUs"),
        ("[[workers]]\nstages = ['train']\n[kinds.pi4]", 2, 'kinds.pi4: study "kitchen" measures on desk, board alone'),
        (
            '[[workers]]\nstages = ["train"]\n[kinds.board]\nprecision = "fp32"',
            2,
            r'fleet\.toml:4: kinds\.board\.precision = "fp32": the study\'s \[devices\.board\] has int8',
        ),
    ],
)
def test_a_study_that_the_fleet_was_not_made_for_is_refused(fleet, text, n_usable, sentence):
    """Kinds that a study does not measure on would idle, and others would be measured as something else."""
    with pytest.raises(UserError, match=sentence):
        fleet(text).check(STUDY, n_usable)


def test_a_trainer_may_be_of_any_kind(fleet):
    """Training belongs to no device kind."""
    fleet('[[workers]]\nkind = "box"\nstages = ["train"]').check(STUDY, 2)


def test_a_missing_file_is_named(tmp_path):
    """And where to look for one."""
    with pytest.raises(UserError, match=r"--fleet .*none\.toml: no such file\. An example is examples/fleet\.toml"):
        Fleet.read(tmp_path / "none.toml")


def test_the_examples_fit_each_other():
    """They are the first thing that somebody tries."""
    spec, example = load(EXAMPLES / "fleet-study.toml"), Fleet.read(EXAMPLES / "fleet.toml")
    example.check(spec, 2)

    assert len(spec.device_kinds()) == 3
    assert set(example.kinds) == set(spec.device_kinds())
    assert example.missing(spec) == []
    assert {Stage.TRAIN, Stage.EXPORT} <= {stage for group in example.groups for stage in group.serves(spec)}
