"""What the tests of the study file's reader share."""

import pytest


@pytest.fixture
def study(tmp_path):
    """Writes a study file and returns its path."""

    def write(text, name="study.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
