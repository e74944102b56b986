"""The one sentence that a study file's mistake is answered with."""

from pathlib import Path

import pytest

from nasd.errors import UserError
from nasd.studyfile import load


def refusal(path: Path) -> str:
    """The sentence for `path`, without its folder."""
    with pytest.raises(UserError) as caught:
        load(path)
    text = str(caught.value)
    assert text.count("\n") == 0
    return text.replace(f"{path.parent}/", "")


def assert_refused(path: Path, start: str, contains: str) -> None:
    """File, line, key, value and remedy in one sentence: it begins with `start`."""
    sentence = refusal(path)
    assert sentence.startswith(start)
    assert contains in sentence
