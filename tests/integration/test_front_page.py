"""The page that `nasd front --plot` writes: well-formed, alone, with every member."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import psycopg
import pytest
from database import Scene
from devices_scene import KINDS, NAME, DeviceScene, brute_force, random_values, raw_losses
from reading_scene import program_in_process


@pytest.fixture
def nasd(scene: Scene, monkeypatch, capsys):
    """Runs a command in this process on the test's database; (exit code, stdout, stderr)."""
    return program_in_process(scene.database.reader, monkeypatch, capsys)


@pytest.fixture
def played(scene: Scene) -> DeviceScene:
    return DeviceScene(scene, random_values(40))


class Page(HTMLParser):
    """Checks that tags nest, and collects what a reader sees."""

    VOID = frozenset({"meta", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.rows: list[int] = []
        self.titles: list[str] = []
        self.data = ""
        self._here = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.links += [value for name, value in attrs if name in {"src", "href", "action", "xlink:href"}]
        if tag == "tr" and "data-trial" in named:
            self.rows.append(int(named["data-trial"]))
        if tag not in self.VOID:
            self.open.append(tag)
        self._here = named.get("id") or tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._here = ""

    def handle_data(self, data):
        if self._here == "data":
            self.data += data
        if self._here == "h2":
            self.titles.append(data)


def test_the_plot_is_one_well_formed_page_with_every_member(nasd, played: DeviceScene, tmp_path):
    """It is mailed to people without this program, and opened without a network."""
    file = tmp_path / "fronts.html"
    _, _, said = nasd("front", NAME, "--devices", "all", "--plot", file)
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    fronts = {kind: brute_force(raw_losses(played.scene, kind)) for kind in KINDS}
    points = json.loads(page.data)["points"]

    assert said.startswith(f"wrote {file}: local ")
    assert (page.open, page.links, "http" in text.split("<body>")[1].split("<script")[0]) == ([], [], False)
    assert sorted(page.rows) == sorted(trial for front in fronts.values() for trial in front)
    assert page.titles == [f"{kind}: {len(front)} members" for kind, front in fronts.items()]
    for kind, front in fronts.items():
        assert {point["trial"] for point in points if point["kind"] == kind and point["member"]} == front
        assert {p["trial"]: p["values"]["latency_ms"]["value"] for p in points if p["kind"] == kind} == {
            trial: losses[1] for trial, losses in raw_losses(played.scene, kind).items()
        }


def test_a_plot_that_cannot_be_written_is_one_sentence(nasd, played: DeviceScene, tmp_path):
    """A slip in a path must not look like a bug."""
    code, _, error = nasd("front", NAME, "--plot", tmp_path / "none" / "fronts.html")
    assert (code, error.count("\n"), "can't be written" in error) == (2, 1, True)


def test_no_text_of_a_study_can_leave_its_place(scene: Scene):
    """A name with markup in it is shown, not run."""
    from nasd.cli.front_page import front_page
    from nasd.store import views

    DeviceScene(scene, random_values(6, missing=0.0))
    name = "</script><script>alert(1)</script>"
    scene.database.rows("update nasd_core.study set name = %s", name)
    with psycopg.connect(scene.database.reader) as connection:
        connection.execute("set search_path = nasd")
        study = views.study(connection, name)
        text = front_page(study, {"pi5": views.front(connection, name, "pi5")}, views.trials(connection, name))

    assert text.count("</script>") == 2  # the data's and the program's
    assert json.loads(Page(text).data)["study"] == name
