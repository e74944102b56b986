"""How values look in a terminal."""

import pytest

from nasd.cli import layout


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.012345, "0.01235"),
        (12.3456, "12.35"),
        (123456.7, "123,457"),
        (3.0, "3"),
        (1.2e-9, "1.200e-09"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_keep_four_digits_and_never_hide_what_is_unknown(value, text):
    """A table of numbers is compared by eye."""
    assert layout.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (4.24, "4.2 s"),
        (59.7, "60 s"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    """Nobody wants to know that 7231.8 s are left."""
    assert layout.duration(seconds) == text


def test_an_architecture_is_one_short_line():
    """What a list shows already (how many layers) is left out; what a word alone would not say keeps its name."""
    genes = {"norm": "none", "layers": 3, "widths": [256, 128, 512], "dropout": 0.1, "activation": "gelu", "skip": True}

    assert layout.architecture(genes) == "widths=256-128-512 gelu norm=none dropout=0.1 skip=true"


def test_what_does_not_exist_is_not_shown_as_pythons_none():
    """A block without channels keeps its place in the list; a setting that the network hasn't is no news."""
    genes = {"blocks": 3, "channels": [64, None, 32], "se": [True, None, False], "n_experts": None}

    assert layout.architecture(genes) == "channels=64-_-32 se=true-_-false"


def test_a_word_that_says_nothing_alone_keeps_its_name():
    """`all`, `pre`, `full` mean something only beside the choice that they answer."""
    genes = {"sharing": "all", "norm_position": "pre", "activation": "silu"}

    assert layout.architecture(genes) == "silu norm_position=pre sharing=all"


def test_a_depth_that_no_list_shows_stays():
    """Nothing may be lost but what is said twice."""
    assert layout.architecture({"layers": 3, "width": 64}) == "layers=3 width=64"


def test_units_are_named_once():
    """`latency_ms (ms)` says it twice, `val_error` alone not at all."""
    assert [
        layout.header(*pair) for pair in (("latency_ms", "ms"), ("val_error", "fraction"), ("params", "count"))
    ] == [
        "latency_ms",
        "val_error (fraction)",
        "params",
    ]


def test_a_value_is_shown_with_its_spread():
    """A number alone is not a result."""
    assert layout.estimate({"value": 0.4123, "unit": "ms", "spread": 0.0113, "n": 5}) == "0.4123 ± 0.011"
    assert layout.estimate({"value": 1000, "unit": "count", "spread": None, "n": 1}) == "1,000"
    assert layout.estimate(None) == "-"


def test_tables_align_and_leave_no_blanks_behind():
    """Trailing blanks make diffs and pipes dirty."""
    assert layout.table(("a", "name"), [("1", "x"), ("20", "")], right=[0]) == " a  name\n 1  x\n20"
