"""docs/sql.md is the views' contract: complete, without inventions, and its queries run."""

import re
from pathlib import Path

import psycopg
import pytest
from database import Scene
from reading_scene import play

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
TYPES = {"timestamptz": "timestamp with time zone", "integer[]": "ARRAY", "text[]": "ARRAY"}


def documented() -> dict[str, list[tuple[str, str]]]:
    """View -> (column, type) in order, as the page has them."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    tables = {
        section.split("\n", 1)[0]: re.findall(r"^\| (\w+) \| ([\w \[\]]+) \|", section, re.MULTILINE)
        for section in sections
    }
    return {view: rows[1:] for view, rows in tables.items() if rows}


def test_every_column_is_documented_in_order_with_its_type(scene: Scene):
    """Whoever reads with SQL must not need our source; and a column that is gone must not stay in the page."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for view, column, type_ in scene.database.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'nasd' order by table_name, ordinal_position"
    ):
        columns.setdefault(view, []).append((column, type_))
    page = {view: [(name, TYPES.get(type_, type_)) for name, type_ in rows] for view, rows in documented().items()}

    assert dict(sorted(page.items())) == columns


@pytest.mark.parametrize("query", QUERIES)
def test_every_example_runs_as_the_reader(scene: Scene, query: str):
    """An example that fails teaches the wrong thing. All of them but the looks back find rows in a study under way."""
    play(scene)
    with psycopg.connect(scene.database.reader) as connection:
        rows = connection.execute(query).fetchall()

    assert rows or "interval" in query


def test_the_view_of_the_studies_is_read_without_the_tables(scene: Scene):
    """A reader's rights end at the views."""
    with psycopg.connect(scene.database.reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from nasd_core.trial")
