"""A study file as text: its tables, the line of each key, and sentences about them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nasd.errors import NotBuiltYet, StudyFileError
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.lines import key_lines

Table = dict[str, object]
_WIDEST = 60  # characters of a value that a sentence shows
_WHERE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """The parsed text.

    Attributes:
        file: as the user named it.
        tables: what tomllib read.
        lines: by path, see `key_lines`.
    """

    file: str
    tables: Table
    lines: Mapping[KeyPath, int] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read and parse `path`.

        Raises:
            StudyFileError: missing, a folder, unreadable, not UTF-8, or not TOML.
        """
        text = _text_of(path)
        try:
            return cls(file=str(path), tables=tomllib.loads(text), lines=key_lines(text))
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(str(path), text, str(error)) from error

    def line(self, path: KeyPath) -> int | None:
        """The line of `path` or, where it isn't in the file, of the nearest table around it."""
        for n in range(len(path), 0, -1):
            if path[:n] in self.lines:
                return self.lines[path[:n]]
        return None

    def value(self, path: KeyPath) -> object:
        """The value at `path`; None where there is none."""
        here: object = self.tables
        for step in path:
            if isinstance(here, dict) and step in here:
                here = here[str(step)]
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                return None
        return here

    def error(self, path: KeyPath, problem: str) -> StudyFileError:
        """`file:line: key = value: problem`, with the value where the file has one."""
        return StudyFileError(
            f"{self._subject(path)}: {problem}", file=self.file, line=self.line(path), key=dotted(path)
        )

    def not_built(self, path: KeyPath, feature: str | None, instead: str) -> NotBuiltYet:
        """The same for what the design names and this version lacks; `feature` where the key alone doesn't say it."""
        line = self.line(path)
        where = self.file if line is None else f"{self.file}:{line}"
        what = f" ({feature})" if feature else ""
        return NotBuiltYet(f"{where}: {self._subject(path)}: not built in this version{what}. {instead}")

    def _subject(self, path: KeyPath) -> str:
        value = self.value(path)
        key = dotted(path)
        return key if value is None or isinstance(value, dict) else f"{key} = {shown(value)}"


def dotted(path: KeyPath) -> str:
    """`limits.max`: the places of list items are left out, the line tells which one is meant."""
    return ".".join(step for step in path if isinstance(step, str))


def shown(value: object) -> str:
    """`value` as TOML would write it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 4]} ..."


def _text_of(path: Path) -> str:
    file = str(path)
    try:
        return path.read_bytes().decode("utf-8-sig")  # an editor's byte order mark does no harm
    except FileNotFoundError as error:
        raise StudyFileError(f"no such file. To write one to start from: nasd init {file}", file=file) from error
    except IsADirectoryError as error:
        raise StudyFileError("is a folder, not a study file. Name the .toml file in it", file=file) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StudyFileError("is not a text in UTF-8. Save it as UTF-8", file=file, line=line) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StudyFileError(f"can't be read: {reason}. Check its path and permissions", file=file) from error


def _syntax_error(file: str, text: str, message: str) -> StudyFileError:
    match = _WHERE.search(message)
    problem = _WHERE.sub("", message)
    problem = problem[:1].lower() + problem[1:]
    line = text.count("\n") + 1
    column = ""
    if match is not None and match["line"]:
        line, column = int(match["line"]), f" at column {match['column']}"
    remedy = 'Write keys as `key = value`, texts in quotes, lists as ["a", "b"], each key and table once'
    return StudyFileError(f"not valid TOML: {problem}{column}. {remedy}", file=file, line=line)
