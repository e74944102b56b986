"""docs/study-file.md and the lists of floor 1 against what they speak of."""

import re
from importlib.resources import files
from pathlib import Path

from nasd import spaces
from nasd.data import partition
from nasd.domain.objective import SOURCES
from nasd.domain.study import BudgetSpec, ObjectiveSpec, SpaceSpec, StrategySpec, StudySpec
from nasd.errors import UserError
from nasd.strategies import build as build_strategy
from nasd.studyfile import known, load

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "study-file.md").read_text()
HEADINGS = {
    (): "Top level",
    ("objectives", known.ANY): "[objectives.NAME]",
    ("limits", known.ANY): "[[limits]]",
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


def test_every_quantity_and_every_choice_is_documented():
    """Names people type must be found by searching the page."""
    from nasd.spaces.mlp import CHOICES

    assert all(f"| `{name}` |" in DOCS for name in SOURCES)
    for name, options in CHOICES.items():
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(str(option) in row for option in options)


def test_the_lists_of_known_names_are_those_of_the_builders():
    """Floor 1 may not ask the floors above; this holds it against them."""
    objectives = StudySpec(name="x", objectives={"params": ObjectiveSpec()}, budget=BudgetSpec(trials=1)).objectives_on(
        "local"
    )
    space = spaces.build(SpaceSpec(), input_shape=(4,), n_outputs=2)

    assert set(known.SPACES) == set(spaces._KINDS)
    assert set(known.DATA_SETS) == set(partition._DATA_SETS)
    for name in known.STRATEGY_SETTINGS:
        build_strategy(StrategySpec(use=name), space, objectives)
    try:
        build_strategy(StrategySpec(use="none such"), space, objectives)
    except UserError as error:
        assert all(name in str(error) for name in known.STRATEGY_SETTINGS)  # noqa: PT017 - its text is the point


def test_the_template_loads_and_equals_the_defaults(tmp_path):
    """What `nasd init` writes must mean what the page says it means."""
    path = tmp_path / "kitchen.toml"
    path.write_text(files("nasd.cli").joinpath("templates", "mlp.toml").read_text())

    assert load(path) == StudySpec(
        name="kitchen",
        objectives={
            "val_error": ObjectiveSpec(),
            "latency_ms": ObjectiveSpec(on=("local",)),
            "params": ObjectiveSpec(),
        },
        budget=BudgetSpec(trials=60),
    )


def test_the_template_shows_every_key_and_every_option():
    """Uncommenting is easier than looking up."""
    from nasd.spaces.mlp import CHOICES

    template = files("nasd.cli").joinpath("templates", "mlp.toml").read_text()

    for table in ("data", "train", "measure", "strategy", "budget"):
        section = template.split(f"[{table}]")[1].split("\n[")[0]
        assert all(re.search(rf"^(# )?{key} =", section, re.MULTILINE) for key in known.keys_of((table,))), table
    for name, options in CHOICES.items():
        line = re.search(rf"^# {name} = \[(.*)\]", template, re.MULTILINE)
        assert line is not None
        assert [part.strip(' "') for part in line[1].split(",")] == [str(option) for option in options]


def test_the_example_is_the_study_that_the_quickstart_promises():
    """Three objectives, 60 trials, steady-state NSGA-II on digits."""
    spec = load(ROOT / "examples" / "digits-mlp.toml")

    assert (spec.name, spec.data.use, spec.space.kind) == ("digits-mlp", "digits", "mlp")
    assert list(spec.objectives) == ["val_error", "latency_ms", "params"]
    assert (spec.strategy.use, spec.budget.trials) == ("nsga2", 60)
