"""The test split stays out of a search's reach, as seen from the processes that search.

Three things keep it: an import contract (nothing that searches may import `nasd.data.final` or what prepares data),
files of its own, and a process of its own that prepares. Here every file that a process opens is recorded while it
really trains, measures and proposes.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nasd.data import describe
from nasd.domain.study import DataSpec

SEARCH = """
import json, sys
opened, started = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append(str(arguments[0]))
    if event == "subprocess.Popen":
        started.append(" ".join(map(str, arguments[1])))

sys.addaudithook(watch)

import os
from pathlib import Path
from nasd.controller.mind import StudyMind
from nasd.daemon.parts import build_parts
from nasd.data import search_split
from nasd.domain.data import DataFacts
from nasd.domain.ids import LOCAL, StudyId, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, DataSpec, ObjectiveSpec, StudySpec, TrainSpec
from nasd.ports.trials import Study, StudyState
from workers.assignment import Assignment
from workers.control import Control
from workers.hooks import Hooks
from workers.hostlock import HostLock
from workers.stages import evaluate_of

given = json.loads(sys.argv[1])
control, _ = Control.create()
hooks = Hooks(control, HostLock(Path(given["locks"])), allow=frozenset({"cam_rows"}))


def rows(x):
    return x.reshape(len(x), -1)[:, 0].tolist()


def search(facts, data):  # proposes, trains and measures; the names of what was measured
    spec = StudySpec(
        name="t",
        data=data,
        train=TrainSpec(steps=3),
        objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec()},
        budget=BudgetSpec(trials=10),
    )
    study = Study(id=StudyId(1), name="t", spec=spec, data=facts, state=StudyState.RUNNING)
    proposal = StudyMind(build_parts(study), reference=None).propose()
    for stage in (Stage.TRAIN, Stage.MEASURE):
        assignment = Assignment(
            study_id=study.id, study_name="t", trial_number=TrialNumber(0), stage=stage, device_kind=LOCAL,
            replicate=0, seed=1, fidelity=3, architecture=proposal.architecture,
        )
        yield from (measured.name for measured in evaluate_of(stage)(assignment, spec, facts, hooks))


found = []
for case in given["cases"]:
    opened.clear()
    started.clear()
    facts, data = DataFacts.from_json(case["facts"]), DataSpec(**case["data"])
    names = list(search(facts, data))
    split = search_split(data, facts, allow=("cam_rows",))
    seen = sorted(rows(split.train_x) + rows(split.validation_x))
    found.append({"names": names, "opened": list(opened), "started": list(started), "seen": seen})
print(json.dumps({"cases": found, "modules": sorted(sys.modules)}))
"""

USERS = """
import numpy as np

def load(seed):
    return {name: part(first + 10_000 * seed) for name, first in (("train", 0), ("validation", 1000), ("test", 2000))}

def part(first):
    return np.arange(first, first + 60.0)[:, None] * [1, 1], np.arange(60) % 2
"""
CASES = {
    "cached": {"use": "digits"},
    "to be prepared": {"use": "digits", "seed": 1},
    "the user's": {"load": "cam_rows:load"},
    "the user's, to be prepared": {"load": "cam_rows:load", "seed": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("isolation")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, dict]:
    """What one process opened and started while it proposed, trained and measured, by case; and what it imported."""
    (folder / "cam_rows.py").write_text(USERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.syspath_prepend(folder)
        cases = []
        for name, keys in CASES.items():
            patch.setenv("NASD_CACHE", str(folder / ("elsewhere" if "prepared" in name else "cache")))
            facts = describe(DataSpec(**keys))  # type: ignore[arg-type]
            stored = {field: getattr(facts, field) for field in facts.__dataclass_fields__}
            cases.append({"data": keys, "facts": stored})
        patch.setenv("NASD_CACHE", str(folder / "cache"))  # where only half of them are
        given = json.dumps({"cases": cases, "locks": str(folder)})
        done = subprocess.run([sys.executable, "-c", SEARCH, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return dict(zip(CASES, said["cases"], strict=True)) | {"modules": said["modules"]}


@pytest.mark.parametrize("case", CASES)
def test_a_process_that_searches_never_opens_the_test_split(found: dict[str, dict], folder: Path, case: str) -> None:
    """Not the real train and measure stages, nor a controller's step; nor where a new worker's cache is empty, whose
    source of data holds the test rows too: another process reads that.
    """
    splits, opened = folder / "cache" / "data-1", found[case]["opened"]
    assert {"val_error", "latency_ms"} <= set(found[case]["names"])
    assert sum(name.startswith(f"{splits}/search/") for name in opened) >= 4  # the instrument works
    assert not [name for name in opened if name.startswith(f"{splits}/test/")]
    assert not [name for name in opened if "digits.csv" in name or "cam_rows" in name]
    n_preparing = sum("nasd.data.prepare" in command for command in found[case]["started"])
    assert n_preparing == ("prepared" in case)


def test_test_splits_were_there_to_be_opened(found: dict[str, dict], folder: Path) -> None:
    """Otherwise the test above would show nothing."""
    assert found["cached"]["names"]
    assert len(list((folder / "cache" / "data-1" / "test").glob("*.x.npy"))) == len(CASES)


@pytest.mark.parametrize("case", [case for case in CASES if "user" in case])
def test_what_a_users_function_returns_reaches_a_search_without_its_test_rows(
    found: dict[str, dict], case: str
) -> None:
    """The arrays that training gets hold train and validation rows, and no others."""
    first = 10_000.0 * CASES[case].get("seed", 0)
    assert found[case]["seen"] == [*(first + np.arange(60)), *(first + np.arange(1000, 1060))]


def test_code_that_reads_whole_data_sets_is_not_even_imported_where_networks_are_trained(
    found: dict[str, dict],
) -> None:
    """The user's own loader among it."""
    reads_all = {f"nasd.data.{name}" for name in ("final", "prepare", "splitting", "builtin", "files", "own")}
    assert not (reads_all | {"cam_rows"}) & set(found["modules"])
    assert "nasd.training.loop" in found["modules"]
