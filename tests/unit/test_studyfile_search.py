"""What a study file says of how to search: costs known ahead, a scalar, a preference, a warm start."""

from __future__ import annotations

import pytest
from study_refusal import assert_refused

from nasd.domain.study import EvaluationSpec, RangeSpec, ScalarSpec, StrategySpec, StudySpec, WarmStartSpec
from nasd.studyfile import changes, load, spec_from_json, spec_to_json

BASE = "[objectives]\nval_error = {}\nlatency_ms = {}\n[budget]\ntrials = 60\n"
WHOLE = """
[evaluation]
run = "cam.evaluate:run"
costs = "cam.evaluate:costs"
[scalar]
latency_ms = { weight = 0.02, at = 1 }
[preference]
val_error = { worst = 0.2 }
latency_ms = { best = 1, worst = 20 }
[warm_start]
architectures = "list.json"
study = "other"
most = 5
"""


def test_every_key_is_read(study):
    """With their defaults where they are left out."""
    spec = load(study(WHOLE + BASE))

    assert spec.evaluation == EvaluationSpec(run="cam.evaluate:run", costs="cam.evaluate:costs")
    assert spec.scalar == {"latency_ms": ScalarSpec(weight=0.02, at=1.0)}
    assert spec.preference == {"val_error": RangeSpec(worst=0.2), "latency_ms": RangeSpec(best=1.0, worst=20.0)}
    assert spec.warm_start == WarmStartSpec(architectures="list.json", study="other", most=5)
    assert load(study("[scalar]\nval_error = {}\n" + BASE)).scalar == {"val_error": ScalarSpec(weight=1.0)}


def test_a_study_stored_before_these_keys_is_read(study):
    """Rows outlive versions of the program."""
    spec = load(study(BASE))
    stored = {key: value for key, value in spec_to_json(spec).items() if key not in _NEW}

    assert spec_from_json(stored) == spec


_NEW = {"scalar", "preference", "warm_start"}


def test_what_was_begun_with_can_not_be_changed(study):
    """Trials that were proposed under another figure or another beginning mean something else."""
    old: StudySpec = load(study(WHOLE + BASE))
    new = load(study(WHOLE.replace("0.02", "0.03").replace("most = 5", "most = 6") + BASE))

    assert changes(old, new) == ["scalar.latency_ms.weight", "warm_start.most"]


REFUSED = {
    "costs": (
        '[evaluation]\nrun = "a:b"\ncosts = "c"\n' + BASE,
        'study.toml:3: evaluation.costs = "c"',
        "package.module:function",
    ),
    "costs alone": ('[evaluation]\ncosts = "a:c"\n' + BASE, "study.toml:1: evaluation.run: is missing", "name the"),
    "scalar's quantity": (
        "[scalar]\nparams = { at = 1 }\n" + BASE,
        "study.toml:2: scalar.params: is no objective of this study",
        "it has val_error, latency_ms",
    ),
    "scalar's decades": (
        "[scalar]\nlatency_ms = { weight = 0.1 }\n" + BASE,
        "study.toml:2: scalar.latency_ms: spans decades",
        "latency_ms = { weight = 0.1, at = 1000 }",
    ),
    "scalar's weight": (
        "[scalar]\nlatency_ms = { weight = -1, at = 1 }\n" + BASE,
        "study.toml:2: scalar.latency_ms.weight = -1: must not be negative",
        "",
    ),
    "scalar's place": (
        "[scalar]\nlatency_ms = { at = 0 }\n" + BASE,
        "study.toml:2: scalar.latency_ms.at = 0: must be greater than 0",
        "",
    ),
    "scalar of nothing": (
        "[scalar]\nval_error = { weight = 0 }\n" + BASE,
        "study.toml:2: scalar.val_error.weight = 0: leaves nothing to search by",
        "above 0",
    ),
    "scalar's key": (
        "[scalar]\nval_error = { alpha = 1 }\n" + BASE,
        "study.toml:2: scalar.val_error.alpha = 1: no such key in [scalar]",
        "known: at, weight",
    ),
    "scalar's type": ("[scalar]\nval_error = 1\n" + BASE, "study.toml:2: scalar.val_error = 1: must be a table", ""),
    "preference's quantity": (
        "[preference]\nparams = { worst = 1 }\n" + BASE,
        "study.toml:2: preference.params: is no objective",
        "",
    ),
    "preference's order": (
        "[preference]\nlatency_ms = { best = 3, worst = 2 }\n" + BASE,
        "study.toml:2: preference.latency_ms.best = 3: must lie below worst = 2",
        "",
    ),
    "empty preference": (
        "[preference]\nlatency_ms = {}\n" + BASE,
        "study.toml:2: preference.latency_ms: give worst, or best and worst",
        "{ worst = 0.2 }",
    ),
    "empty warm start": ("[warm_start]\nmost = 3\n" + BASE, "study.toml:1: warm_start: give architectures, study", ""),
    "warm start's number": (
        '[warm_start]\nstudy = "x"\nmost = 0\n' + BASE,
        "study.toml:3: warm_start.most = 0: must be greater than 0",
        "",
    ),
    "warm start from itself": (
        '[warm_start]\nstudy = "study"\n' + BASE,
        'study.toml:2: warm_start.study = "study": is this study itself',
        "",
    ),
    "what a warm start found": (
        '[warm_start]\nstudy = "x"\nfound = []\n' + BASE,
        "study.toml:3: warm_start.found = []: no such key in [warm_start]",
        "known: architectures, most, study",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_gets_one_sentence_with_its_line_and_remedy(study, case):
    """As everywhere in the file."""
    text, start, contains = REFUSED[case]
    assert_refused(study(text), start, contains)


def test_another_strategy_has_its_own_population():
    """A comparison that gave every rival the population of the first would be unfair to all of them."""
    spec = StrategySpec(use="nsga2", population=40, mutation_only=0.5)

    assert spec.switched("nsga2") == spec
    assert spec.switched("aging-evolution") == StrategySpec(use="aging-evolution", mutation_only=0.5)
