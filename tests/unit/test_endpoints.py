"""Which database and queue a command means."""

import pytest

from nasd.app.endpoints import find_home, is_external
from nasd.config import Settings
from nasd.errors import SettingsError, UserError

DATABASE, REDIS = "postgresql://u:secret@h/d", "redis://h"


def settings(**urls: str | None) -> Settings:
    return Settings.model_construct(**{"database_url": None, "redis_url": None, "home": None} | urls)


def test_two_urls_or_none():
    """Half a pair would mix a given database with an embedded queue that nobody else sees."""
    assert is_external(settings(database_url=DATABASE, redis_url=REDIS))
    assert not is_external(settings())


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"database_url": DATABASE}, "NASD_REDIS_URL"), ({"redis_url": REDIS}, "NASD_DATABASE_URL")],
)
def test_one_url_alone_is_refused_by_name(given, missing):
    with pytest.raises(SettingsError, match=f"^{missing} is not set"):
        is_external(settings(**given))


def test_a_scheme_nobody_speaks_is_named_without_the_password():
    with pytest.raises(SettingsError, match="must begin with") as caught:
        is_external(settings(database_url="mysql://u:secret@h/d", redis_url=REDIS))

    assert "secret" not in str(caught.value)


def test_the_nearest_home_is_found_here_above_or_one_below(tmp_path, monkeypatch):
    """`nasd status` works beside the study, in a folder of it, and from the folder above."""
    monkeypatch.setattr("nasd.app.endpoints.default_home", lambda folder: folder / ".nasd")
    (tmp_path / "project" / "study" / ".nasd" / "secrets").mkdir(parents=True)
    (tmp_path / "project" / "study" / "notes").mkdir()
    home = tmp_path / "project" / "study" / ".nasd"

    for start in ("project/study", "project/study/notes", "project"):
        assert find_home(settings(), tmp_path / start) == home


def test_several_homes_below_are_not_guessed_among(tmp_path, monkeypatch):
    monkeypatch.setattr("nasd.app.endpoints.default_home", lambda folder: folder / ".nasd")
    for name in ("a", "b"):
        (tmp_path / name / ".nasd" / "secrets").mkdir(parents=True)

    with pytest.raises(UserError, match="several homes"):
        find_home(settings(), tmp_path)
