"""Where keys stand: the locator must know exactly the keys that tomllib reads, each on the line that writes it."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasd.studyfile.lines import key_lines

TEXT = '''\
# a comment with = and [brackets]
name = "a # no comment"   # a comment
dotted.one = 1
dotted.'two words' = 2
long = """
not = "a key"
[neither]
""" # after

[table]   # comment
"quoted.key" = [1, [2,
  3], { in = 1, line.x = [
  { deep = 'x' } ] }]

[[list]]
a = 1
[list.sub]
b = 2
[[list]]
a = 3
[[list.inner]]
c = """"quotes""""" # two quotes before the closing three
[after.all]
when = 1979-05-27 07:32:00
'''


def paths(value, path=()):
    """Every path of a parsed file."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in items:
        yield (*path, step)
        yield from paths(member, (*path, step))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_that_tomllib_reads_has_a_line(newline):
    """An unlocated key would be reported without its line; an extra one would shadow it."""
    text = TEXT.replace("\n", newline)

    assert set(paths(tomllib.loads(text))) == set(key_lines(text))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("dotted", "two words"), 4),
        (("long",), 5),
        (("table",), 10),
        (("table", "quoted.key"), 11),
        (("table", "quoted.key", 1, 1), 12),
        (("table", "quoted.key", 2, "line", "x"), 12),
        (("table", "quoted.key", 2, "line", "x", 0, "deep"), 13),
        (("list", 0, "a"), 16),
        (("list", 0, "sub", "b"), 18),
        (("list", 1), 19),
        (("list", 1, "a"), 20),
        (("list", 1, "inner", 0, "c"), 22),
        (("after", "all", "when"), 24),
    ],
)
def test_a_key_is_found_on_the_line_that_writes_it(path, line):
    """Editors jump to `file:line`; one line off sends people to the wrong key."""
    assert key_lines(TEXT)[path] == line


keys = st.text("abc-_", min_size=1, max_size=3)
scalars = st.sampled_from(
    ["1", "-2.5e3", "true", '"a\\"b # ] }"', "'x = 1'", '"""a\nb = 1\n"""', "'''\n[c]\n'''", '""']
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # list\n" + ",\n".join(items) + "\n]"),
        st.dictionaries(keys, inner, max_size=3).map(
            lambda members: "{" + ", ".join(f"{key} = {value}" for key, value in members.items()) + "}"
        ),
    ),
    max_leaves=6,
)
bodies = st.dictionaries(keys, values, max_size=3)


@given(st.dictionaries(keys, bodies, max_size=4), st.lists(bodies, max_size=3))
def test_generated_files_are_located_whole(tables, listed):
    """The law for any mixture of strings over lines, lists, inline tables and arrays of tables."""
    parts = [(f"[{name}]", body) for name, body in tables.items()] + [("[[each]]", body) for body in listed]
    text = "\n".join(
        "\n".join([header, *(f"{key} = {value}" for key, value in body.items())]) for header, body in parts
    )
    lines = key_lines(text)

    assert set(paths(tomllib.loads(text))) == set(lines)
    source = text.split("\n")
    named = ((path[-1], line) for path, line in lines.items() if isinstance(path[-1], str))
    assert all(key in source[line - 1] for key, line in named)
