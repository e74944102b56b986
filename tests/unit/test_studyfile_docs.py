"""docs/study-file.md and the lists of floor 1 against what they speak of."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasd import spaces
from nasd.cli.init import SPACES, template
from nasd.data import builtin
from nasd.data.request import BUILT_IN
from nasd.domain.data import Problem, Task
from nasd.domain.objective import SOURCES
from nasd.domain.recipe import SEARCHABLE
from nasd.domain.study import BudgetSpec, ObjectiveSpec, Role, SpaceSpec, StrategySpec, StudySpec, TrainSpec
from nasd.errors import UserError
from nasd.strategies import build as build_strategy
from nasd.strategies.base import Setting
from nasd.studyfile import known, load

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "study-file.md").read_text()
HEADINGS = {
    (): "Top level",
    ("objectives", known.ANY): "[objectives.NAME]",
    ("limits", known.ANY): "[[limits]]",
    ("devices", known.ANY): "[devices.KIND]",
    ("scalar", known.ANY): "[scalar.NAME]",
    ("preference", known.ANY): "[preference.NAME]",
    ("space", "params", known.ANY): "[space.params.NAME]",
    ("strategy", "reward", known.ANY): "[strategy.reward.NAME]",
}


def documented(pattern):
    """Key -> default, as the table under the heading of `pattern` has them."""
    heading = HEADINGS.get(pattern, f"[{'.'.join(pattern)}]")
    section = DOCS.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = section.split("| key |")[1]
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", table, re.MULTILINE)
    return {key: default.strip() for key, default in rows}


def test_every_key_is_documented_and_every_documented_key_exists():
    """The reference is complete or it is none."""
    for pattern in known.TABLES:
        assert set(documented(pattern)) == set(known.keys_of(pattern)), pattern


def test_documented_defaults_are_the_dataclasses_own():
    """A default that is written down wrongly is worse than none."""
    for pattern, table in known.TABLES.items():
        for key, default in documented(pattern).items():
            field = next((name for name, key_of in known.RENAMED.items() if key_of == key), key)
            value = getattr(table, "__dataclass_fields__").get(field)  # noqa: B009 - not on the type's interface
            if isinstance(getattr(value, "default", None), bool | int | float) and default.startswith("`"):
                assert default.strip("`") == str(value.default).lower(), (pattern, key)


def test_every_quantity_is_documented():
    """Names people type must be found by searching the page."""
    assert all(f"| `{name}` |" in DOCS for name in SOURCES)


LONG = Problem(input_shape=(2, 4096), n_outputs=10)
TEXT = Problem(input_shape=(256,), n_outputs=256, vocabulary=256, task=Task.LM)
DEPENDENT = {"patch", "context", "embedding"}  # their options follow from the data


@pytest.mark.parametrize("preset", [None, "small"])
@pytest.mark.parametrize(("kind", "problem"), [("cnn", LONG), ("transformer", LONG), ("transformer", TEXT)])
def test_every_choice_of_a_family_is_documented_with_its_options(kind, problem, preset):
    """Narrowing begins by reading which options there are."""
    space = spaces.build(SpaceSpec(kind=kind, preset=preset), problem)
    table = DOCS.split(f"The choices of `{kind}`")[1].split("\n\n")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))

    assert {parameter.name for parameter in space.declaration.parameters} <= set(rows)
    for parameter in space.declaration.parameters:
        if parameter.name in DEPENDENT:
            continue
        written = rows[parameter.name].split("`small`:")[-1 if preset else 0]
        options = [parameter.domain.at(0.0), parameter.domain.at(1.0)] if kind == "cnn" else parameter.domain.values()
        assert all(re.search(rf"\b{str(option).lower()}\b", written) for option in options), parameter.name


def test_every_choice_of_an_mlp_is_documented_with_its_options():
    """The same for the one space that is no declaration."""
    from nasd.spaces.mlp import CHOICES

    for name, options in CHOICES.items():
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(str(option) in row for option in options)


def test_the_space_of_ones_own_on_the_page_is_read(tmp_path):
    """People copy it."""
    example = next(block for block in re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL) if 'kind = "custom"' in block)
    path = tmp_path / "kitchen.toml"
    path.write_text(example + "[objectives]\nval_error = {}\n[budget]\ntrials = 60\n")

    space = spaces.build(load(path).space, Problem(input_shape=(64,), n_outputs=10))

    config = {"blocks": 4, "width": 64, "kernel": [3, 7, 3, 3], "groups": 1}
    assert str(config).replace("'", '"') in DOCS
    assert space.canonical({**config, "lr": 0.001})["groups"] == 1


def test_the_searchable_settings_are_those_on_the_page():
    """A setting that is missing there will not be found."""
    sentence = DOCS.split("Keys of [train] that can be searched: ")[1].split(", in every kind")[0]

    assert tuple(re.findall(r"`(\w+)`", sentence)) == SEARCHABLE


def test_the_lists_of_known_names_are_those_of_the_builders():
    """Floor 1 may not ask the floors above; this holds it against them."""
    objectives = StudySpec(name="x", objectives={"params": ObjectiveSpec()}, budget=BudgetSpec(trials=1)).objectives_on(
        "local"
    )
    space = spaces.build(SpaceSpec(), Problem(input_shape=(4,), n_outputs=2))

    assert set(known.SPACES) == set(spaces._KINDS)
    assert set(known.DATA_SETS) == set(BUILT_IN) == set(builtin.LOADERS)
    for name in known.STRATEGY_SETTINGS:
        build_strategy(StrategySpec(use=name), Setting(space=space, objectives=objectives))
    try:
        build_strategy(StrategySpec(use="none such"), Setting(space=space, objectives=objectives))
    except UserError as error:
        assert all(name in str(error) for name in known.STRATEGY_SETTINGS)  # noqa: PT017 - its text is the point


PRESET_OF = {"cnn": "small", "transformer": "small"}


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_a_template_loads_and_equals_the_defaults(tmp_path, kind):
    """What `nasd init` writes must mean what the page says it means."""
    path = tmp_path / "kitchen.toml"
    path.write_text(template(kind))

    assert load(path) == StudySpec(
        name="kitchen",
        space=SpaceSpec(kind=kind, preset=PRESET_OF.get(kind)),
        train=TrainSpec(**known.RECIPES.get(kind, {})),
        objectives={
            "val_error": ObjectiveSpec(),
            "latency_ms": ObjectiveSpec(on=("local",)),
            "params": ObjectiveSpec(),
        },
        budget=BudgetSpec(trials=60),
    )


@pytest.mark.parametrize(
    ("task", "wanted"), [("classification", (0.005, 0.1)), ("regression", (0.005, 0.0)), ("multilabel", (0.005, 0.0))]
)
def test_a_familys_recipe_fills_what_the_file_leaves_open(tmp_path, task, wanted):
    """A fair comparison of families gives each its own learning rate; what is written goes before it."""
    path = tmp_path / "kitchen.toml"
    text = (
        '[data]\nfiles = "d.npz"\n[space]\nkind = "cnn"\n[train]\ntask = "{}"\n{}'
        "[objectives]\nval_error = {{}}\n[budget]\ntrials = 1\n"
    )
    path.write_text(text.format(task, ""))
    train = load(path).train
    path.write_text(text.format(task, "lr = 0.1\n"))

    assert (train.lr, train.label_smoothing) == wanted
    assert load(path).train.lr == 0.1


def test_the_template_of_a_space_of_ones_own_loads_and_builds(tmp_path):
    """It is the example that people change piece by piece."""
    path = tmp_path / "kitchen.toml"
    path.write_text(template("custom"))

    space = spaces.build(load(path).space, Problem(input_shape=(64,), n_outputs=10))

    assert list(space.layout.by_name) == ["blocks", "width", "kernel", "groups", "activation"]


def test_the_template_takes_files_in_place_of_the_digits(tmp_path):
    """`nasd init --data` must leave one source of data, not two."""
    path = tmp_path / "kitchen.toml"
    path.write_text(template("mlp", files='my "data".npz'))

    assert (load(path).data.use, load(path).data.files) == (None, 'my "data".npz')


@pytest.mark.parametrize("kind", SPACES)
def test_a_template_shows_every_key(kind):
    """Uncommenting is easier than looking up."""
    for table in ("data", "train", "measure", "strategy", "budget"):
        section = template(kind).split(f"\n[{table}]")[1].split("\n[")[0]
        assert all(re.search(rf"^(# )?{key} =", section, re.MULTILINE) for key in known.keys_of((table,))), table


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_a_template_shows_every_choice_with_its_options(tmp_path, kind):
    """Uncommented as it is, a line changes nothing; then options are taken away."""
    problem = Problem(input_shape=(1, 8, 8), n_outputs=10)
    text = template(kind)
    section = text.split("[space.params]")[1].split("\n[")[0]
    lines = re.findall(r"^# (\w+ = [\[{].*)$", section, re.MULTILINE)
    path = tmp_path / "kitchen.toml"
    path.write_text(text.replace(section, "\n" + "\n".join(lines) + "\n").replace("weight_decay = 0.01\n", ""))
    spec = load(path).space
    whole = spaces.build(SpaceSpec(kind=kind, preset=spec.preset), problem)
    own = {name: entry for name, entry in spec.params.items() if entry.role is Role.ARCHITECTURE}

    assert {"weight_decay"} == spec.params.keys() - own.keys()
    assert spaces.build(replace(spec, params=own), problem).size == whole.size
    genes = set(whole.sample(np.random.default_rng(0)).as_dict()) - {"widths"}
    assert genes - {"patch", "window", "stride"} <= own.keys()


def test_the_example_is_the_study_that_the_quickstart_promises():
    """Three objectives, 60 trials, the default strategy on digits."""
    spec = load(ROOT / "examples" / "digits-mlp.toml")

    assert (spec.name, spec.data.use, spec.space.kind) == ("digits-mlp", "digits", "mlp")
    assert list(spec.objectives) == ["val_error", "latency_ms", "params"]
    assert (spec.strategy.use, spec.budget.trials) == ("screened", 60)
