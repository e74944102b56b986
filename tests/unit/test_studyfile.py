"""The study file: what is read, and the one sentence that each mistake gets."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from study_refusal import assert_refused, refusal

from nasd.domain.study import BudgetSpec, Direction, ObjectiveSpec, ParameterSpec, StudySpec
from nasd.errors import NotBuiltYet, StudyFileError
from nasd.studyfile import allowed_change, changes, load, located, refuse_changes, space_fingerprint
from nasd.studyfile.durations import seconds_of

OBJECTIVES = "[objectives]\nval_error = {}\nlatency_ms = {}\n"
BASE = OBJECTIVES + "[budget]\ntrials = 60\n"


def test_what_is_left_out_has_its_default(study):
    """Defaults are those of the dataclasses; `on` and `name` follow from other things."""
    expected = StudySpec(
        name="study",
        objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("local",))},
        budget=BudgetSpec(trials=60),
    )

    assert load(study(BASE)) == expected


def test_objectives_keep_the_order_of_the_file(study):
    """Their order is the order of a front's columns."""
    text = "[objectives]\nparams = {}\nval_error = {}\nflops = {}\n[budget]\ntrials = 1\n"

    assert list(load(study(text)).objectives) == ["params", "val_error", "flops"]


def test_a_whole_file_is_read(study):
    """Every table at once, with the forms that people write."""
    spec = load(
        study(
            'name = "kitchen"\nseed = 7\ndata = { use = "digits", seed = 3 }\n'
            "[space.params]\nwidth = { choice = [128, 256], ordered = true }\ndropout = [0.0]\n"
            '[train]\ntask = "classification"\nsteps = 10\nlr = 1\ntime_limit = "90s"\n'
            '[objectives]\nval_error = { direction = "min" }\nlatency_ms = { on = ["local"] }\n'
            '[[limits]]\nof = "params"\nmax = 500_000\n[[limits]]\nof = "latency_ms"\non = "local"\nmax = 20\n'
            '[strategy]\nuse = "random"\nin_flight = 4\n[budget]\ntrials = 5\ntime = "1h30m"\n'
        )
    )

    assert (spec.name, spec.seed, spec.data.seed) == ("kitchen", 7, 3)
    assert spec.space.params == {
        "width": ParameterSpec(choice=(128, 256), ordered=True),
        "dropout": ParameterSpec(choice=(0.0,)),
    }
    assert (spec.train.lr, spec.train.time_limit_s) == (1.0, 90.0)
    assert isinstance(spec.train.lr, float)
    assert spec.objectives["val_error"].direction is Direction.MIN
    assert [limit.max for limit in spec.limits] == [500_000.0, 20.0]
    assert (spec.strategy.use, spec.strategy.in_flight) == ("random", 4)
    assert (spec.budget.trials, spec.budget.time_s) == (5, 5400.0)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    """Some editors write one."""
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())

    assert load(path).name == "bom"


REFUSED = {
    "unknown key": ("[train]\nstep = 3\n" + BASE, "study.toml:2: train.step = 3: no such key in [train]", '"steps"?'),
    "unknown table": ("[trian]\nsteps = 3\n" + BASE, "study.toml:1: trian: no such key in a study file", '"train"?'),
    "field name": (BASE + "time_s = 3\n", "study.toml:6: budget.time_s = 3: no such key in [budget]", '"time"?'),
    "text for int": ('[train]\nsteps = "3"\n' + BASE, 'study.toml:2: train.steps = "3"', "a whole number such as 300"),
    "float for int": ("[train]\nsteps = 3.0\n" + BASE, "study.toml:2: train.steps = 3.0", "a whole number such as 300"),
    "bool for int": ("[train]\nsteps = true\n" + BASE, "study.toml:2: train.steps = true", "a whole number"),
    "nan": ("[train]\nlr = nan\n" + BASE, "study.toml:2: train.lr = NaN", "a finite number such as 0.003"),
    "date": ("[train]\nlr = 1979-05-27\n" + BASE, "study.toml:2: train.lr", "in quotes"),
    "range": ("[train]\nsteps = -3\n" + BASE, "study.toml:2: train.steps = -3: must be greater than 0", ""),
    "warm-up": ("[train]\nwarmup = 1\n" + BASE, "study.toml:2: train.warmup = 1: must be at least 0 and below 1", ""),
    "negative seed": ("seed = -1\n" + BASE, "study.toml:1: seed = -1: must not be negative", ""),
    "negative data seed": ("[data]\nseed = -1\n" + BASE, "study.toml:2: data.seed = -1: must not be negative", ""),
    "huge seed": (f"seed = {2**63}\n" + BASE, "study.toml:1: seed = 9223372036854775808: is too big", ""),
    "data set": ('[data]\nuse = "digit"\n' + BASE, 'study.toml:2: data.use = "digit": no such name', "known: digits"),
    "space": ('[space]\nkind = "mpl"\n' + BASE, 'study.toml:2: space.kind = "mpl": no such name', '"mlp"?'),
    "strategy": (BASE + '[strategy]\nuse = "nsga"\n', "study.toml:7: strategy.use", '"nsga2"?'),
    "other strategy's setting": (
        BASE + '[strategy]\nuse = "random"\npopulation = 9\n',
        "study.toml:8: strategy.population = 9",
        'the strategy "random" has no such setting; ',
    ),
    "population": (BASE + "[strategy]\npopulation = 2\n", "study.toml:7: strategy.population = 2", "at least 4"),
    "no options": ("[space]\nparams.width = []\n" + BASE, "study.toml:2: space.params.width = []: is empty", ""),
    "option twice": ("[space]\nparams.width = [1, 1]\n" + BASE, "study.toml:2: space.params.width", "1 twice"),
    "options no list": ("[space.params]\nwidth = 3\n" + BASE, "study.toml:2: space.params.width = 3", "[64, 128]"),
    "option's type": (
        "[space.params]\nwidth = [1, [2]]\n" + BASE,
        "study.toml:2: space.params.width = [2]",
        "must be a number, a text in quotes, true or false",
    ),
    "quantity": (
        "[objectives]\nval_eror = {}\n[budget]\ntrials = 1\n",
        "study.toml:2: objectives.val_eror",
        '"val_error"?',
    ),
    "no objective": ("objectives = {}\n[budget]\ntrials = 1\n", "study.toml:1: objectives", "at least one"),
    "missing objectives": ("[budget]\ntrials = 1\n", "study.toml: objectives: is missing", "val_error = {}"),
    "missing budget": (OBJECTIVES, "study.toml: budget: is missing", 'time = "4h"'),
    "empty budget": (OBJECTIVES + "[budget]\n", "study.toml:4: budget: give trials, time or both", ""),
    "objective's type": (
        "[objectives]\nparams = 1\n[budget]\ntrials = 1\n",
        "study.toml:2: objectives.params = 1",
        "table",
    ),
    "direction": (
        '[objectives]\nparams = { direction = "mx" }\n[budget]\ntrials = 1\n',
        'study.toml:2: objectives.params.direction = "mx"',
        'must be "min" or "max"',
    ),
    "on without device": (
        '[objectives]\nparams = { on = ["local"] }\n[budget]\ntrials = 1\n',
        "study.toml:2: objectives.params.on",
        "does not depend on a device",
    ),
    "on as text": (
        '[objectives]\nlatency_ms = { on = "local" }\n[budget]\ntrials = 1\n',
        'study.toml:2: objectives.latency_ms.on = "local"',
        'a list such as ["local"]',
    ),
    "unit": (
        '[objectives]\nparams = { unit = "x" }\n[budget]\ntrials = 1\n',
        "study.toml:2: objectives.params.unit",
        '"count"',
    ),
    "limit's range": (
        BASE + '[[limits]]\nof = "params"\nmax = 1\nmin = 2\n',
        "study.toml:9: limits.min = 2",
        "nothing could",
    ),
    "second limit": (
        BASE + '[[limits]]\nof = "params"\nmax = 1\n[[limits]]\nmax = 2\n',
        "study.toml:9: limits.of: is missing",
        "latency_ms",
    ),
    "limit's quantity": (
        BASE + '[[limits]]\nof = "parms"\nmax = 1\n',
        'study.toml:7: limits.of = "parms"',
        '"params"?',
    ),
    "limit's device": (
        BASE + '[[limits]]\nof = "params"\nmax = 1\non = "local"\n',
        "study.toml:9: limits.on",
        "Remove",
    ),
    "limit's device kind": (
        (
            '[objectives]\nlatency_ms = { on = ["pi5"] }\n[budget]\ntrials = 1\n'
            '[[limits]]\nof = "latency_ms"\nmax = 1\non = "pi4"\n'
        ),
        'study.toml:8: limits.on = "pi4": no objective is measured on it',
        '"pi5"?',
    ),
    "device kind's name": (
        '[objectives]\nlatency_ms = { on = ["any"] }\n[budget]\ntrials = 1\n',
        "study.toml:2: objectives.latency_ms.on",
        "small letters",
    ),
    "settings of no kind": (
        BASE + "[devices.pi5]\nthreads = 1\n",
        "study.toml:6: devices.pi5",
        'latency_ms = { on = ["pi5"] }',
    ),
    "provider": (
        '[objectives]\nlatency_ms = { on = ["pi5"] }\n[budget]\ntrials = 1\n[devices.pi5]\nprovider = "cudda"\n',
        'study.toml:6: devices.pi5.provider = "cudda"',
        "known: cpu, cuda, mps",
    ),
    "int8 in torch": (
        '[objectives]\nlatency_ms = { on = ["pi5"] }\n[budget]\ntrials = 1\n[devices.pi5]\nprecision = "int8"\n',
        'study.toml:6: devices.pi5.precision = "int8"',
        "onnxruntime",
    ),
    "sustained alone": (
        BASE + '[[limits]]\nof = "params"\nmax = 1\nsustained = "9s"\n',
        "study.toml:9: limits.sustained",
        "p95",
    ),
    "duration": (BASE + 'time = "4x"\n', 'study.toml:6: budget.time = "4x": must be a duration such as "4h"', ""),
    "no duration": (BASE + "time = 0\n", "study.toml:6: budget.time = 0: must be greater than 0", ""),
    "name": ('name = "a b"\n' + BASE, 'study.toml:1: name = "a b": must be 1 to 63 letters', "my-study"),
    "table's type": ("data = 3\n" + BASE, "study.toml:1: data = 3: must be a table such as [data]", ""),
    "task": ('[train]\ntask = "clas"\n' + BASE, 'study.toml:2: train.task = "clas"', "classification"),
    "function": ('[evaluation]\nrun = "x"\n' + BASE, 'study.toml:2: evaluation.run = "x"', "package.module:function"),
    "syntax": ("x = \n", "study.toml:1: not valid TOML", "key = value"),
    "key twice": ("a = 1\na = 2\n", "study.toml:2: not valid TOML: cannot overwrite a value", "once"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_gets_one_sentence_with_its_line_and_remedy(study, case):
    """People mend what they can find: file, line, key, value, remedy."""
    text, start, contains = REFUSED[case]
    assert_refused(study(text), start, contains)


NOT_BUILT = {
    '[fidelity]\nunit = "steps"\n' + BASE: "study.toml:1: fidelity: not built",
    '[train]\nequal = "flops"\n' + BASE: 'study.toml:2: train.equal = "flops": not built',
}


@pytest.mark.parametrize("text", NOT_BUILT)
def test_what_the_design_names_and_nobody_built_is_refused_by_name(study, text):
    """`no such key` would send people looking for a typing error that they did not make."""
    path = study(text)

    with pytest.raises(NotBuiltYet, match="not built in this version") as caught:
        load(path)
    assert str(caught.value).replace(f"{path.parent}/", "").startswith(NOT_BUILT[text])


def test_a_file_that_cannot_be_read_gets_a_sentence(tmp_path):
    """Missing, a folder, another encoding: the three ways to name the wrong thing."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'# fine\nname = "\xe9"\n')

    assert "no such file. To write one to start from: nasd init" in refusal(tmp_path / "none.toml")
    assert "is a folder" in refusal(tmp_path)
    assert refusal(latin).startswith("latin.toml:2: is not a text in UTF-8")


def test_a_file_name_that_is_no_name_asks_for_one(study):
    """The default for `name` must not be refused without saying where it came from."""
    assert "this file's name, \"my study\", isn't" in refusal(study(BASE, "my study.toml"))


def test_of_several_mistakes_the_first_in_the_file_is_reported(study):
    """One sentence at a time, in reading order."""
    assert refusal(study('[train]\nsteps = "x"\nlr = "y"\n' + BASE)).startswith("study.toml:2")


def test_a_sentence_from_above_gets_its_line(study):
    """A space knows its options; only this package knows the line."""
    path = study("[space.params]\n\nwidth = [3]\n" + BASE)

    error = located(path, "space.params.width = [3]: 3 is no option")

    assert isinstance(error, StudyFileError)
    assert str(error) == f"{path}:3: space.params.width = [3]: 3 is no option"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("4h", 14400.0),
        ("30m", 1800.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1h 0.5s", 3600.5),
        ("2d", 172800.0),
        (12, 12.0),
    ],
)
def test_durations_are_read_as_people_write_them(value, seconds):
    """The unit is in the value, so the key needs none."""
    assert seconds_of(value) == seconds


@pytest.mark.parametrize("value", ["", "h", "4", "4h4h", "-4h", "30m1h", True, None, [], float("inf"), float("nan"), 0])
def test_what_is_no_duration_is_refused(value):
    """A budget that is misread costs hours."""
    with pytest.raises(ValueError, match="must be"):
        seconds_of(value)


def test_changes_are_named_as_the_file_writes_them(study):
    """`budget.time`, not `budget.time_s`: people look for the key in their file."""
    old = load(study(BASE))
    new = load(study('[train]\nsteps = 5\n[objectives]\nlatency_ms = {}\nparams = {}\n[budget]\ntime = "1h"\n'))

    found = changes(old, new)

    assert {"train.steps", "budget.trials", "budget.time"} <= set(found)
    assert any(key.startswith("objectives.val_error") for key in found)
    assert any(key.startswith("objectives.params") for key in found)
    assert changes(old, old) == []


def test_the_order_of_objectives_is_a_change(study):
    """A front's columns would swap."""
    old = load(study(BASE))

    assert changes(old, replace(old, objectives=dict(reversed(old.objectives.items())))) == ["objectives"]


def test_only_budgets_and_in_flight_may_change(study):
    """Everything else decides what the trials mean."""
    assert all(allowed_change(key) for key in ("budget.trials", "budget.time", "strategy.in_flight"))
    assert not any(
        allowed_change(key) for key in ("seed", "train.steps", "space.params.width", "limits", "strategy.use")
    )


def test_a_changed_space_is_refused_with_its_line_and_a_way_out(study):
    """Trials of two spaces in one study could not be compared."""
    old = load(study(BASE))
    path = study("[space.params]\nwidth = [128]\n" + BASE)

    with pytest.raises(StudyFileError, match=re.escape(f"{path}:2: space.params.width: changed")) as caught:
        refuse_changes(old, load(path), file=path)
    assert 'name = "study-2"' in str(caught.value)
    refuse_changes(old, load(study(BASE.replace("60", "90"))), file=path)


def test_the_space_fingerprint_follows_the_space_alone(study):
    """It tells whether two studies' architectures are of one space."""
    old = load(study(BASE))

    assert space_fingerprint(old) == space_fingerprint(load(study(BASE.replace("60", "90"))))
    assert space_fingerprint(old) != space_fingerprint(load(study("[space.params]\nwidth = [128]\n" + BASE)))


def test_the_sentence_shows_no_more_of_a_value_than_fits(study):
    """A list of a thousand numbers would bury the sentence."""
    sentence = refusal(study(f"[train]\nsteps = {json.dumps(list(range(1000)))}\n" + BASE))

    assert len(sentence.replace(str(Path()), "")) < 200
