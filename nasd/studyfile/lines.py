"""Where each key of a TOML text stands. tomllib forgets lines; a sentence about a key needs its line.

Reads only text that tomllib has accepted, so that it may skip over what it need not understand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\n]|#[^\n]*)*")  # what may stand between statements and inside brackets
_SCALAR = re.compile(r"[^,\]}\n#]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def key_lines(text: str) -> Mapping[Path, int]:
    """The line (from 1) of each key, table and list item, by path: `("limits", 0, "max")`.

    A table that only its members mention has the line of the first of them.

    Args:
        text: valid TOML.
    """
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    """One pass over the text; `_at` is the next unread character."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._lines: dict[Path, int] = {}
        self._n_items: dict[Path, int] = {}  # how many elements an array of tables has so far

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_GAP)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"character {self._at}: not valid TOML")  # a bug: tomllib has accepted the text
        self._at = match.end()
        return match.group()

    def _take(self, character: str) -> bool:
        found = self._text.startswith(character, self._at)
        self._at += len(character) * found
        return found

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _mark(self, path: Path, line: int) -> None:
        for n in range(1, len(path) + 1):
            self._lines.setdefault(path[:n], line)

    def _header(self) -> Path:
        line = self._line()
        self._take("[")
        is_list = self._take("[")
        keys = self._key()
        self._take("]]" if is_list else "]")
        path: Path = ()
        for n, key in enumerate(keys, 1):
            path = (*path, key)
            if path not in self._n_items and not (is_list and n == len(keys)):
                continue
            if n == len(keys) and is_list:
                self._n_items[path] = self._n_items.get(path, 0) + 1
            path = (*path, self._n_items[path] - 1)  # members belong to the latest element
        self._mark(path, line)
        return path

    def _key(self) -> tuple[str, ...]:
        keys = []
        while True:
            self._skip(_BLANK)
            if self._text[self._at] in "\"'":
                keys.append(_unquoted(self._skip(_STRING)))
            else:
                keys.append(self._skip(_BARE))
            self._skip(_BLANK)
            if not self._take("."):
                return tuple(keys)

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = (*table, *self._key())
        self._mark(path, line)
        self._take("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        character = self._text[self._at]
        if character in "\"'":
            self._skip(_STRING)
        elif character == "[":
            self._list(path)
        elif character == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        self._take("[")
        index = 0
        self._skip(_GAP)
        while not self._take("]"):
            self._mark((*path, index), self._line())
            self._value((*path, index))
            index += 1
            self._skip(_GAP)
            self._take(",")
            self._skip(_GAP)

    def _inline_table(self, path: Path) -> None:
        self._take("{")
        self._skip(_GAP)
        while not self._take("}"):
            self._pair(path)
            self._skip(_GAP)
            self._take(",")
            self._skip(_GAP)


def _unquoted(text: str) -> str:
    return str(tomllib.loads(f"x = {text}")["x"])
