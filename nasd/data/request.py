"""What is asked for when data are prepared, under which key its answer is remembered, and the data sets by name."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nasd.domain.data import Task
from nasd.domain.seeding import seed_of
from nasd.domain.study import DataSpec
from nasd.errors import Unavailable, UserError

DEFAULT_CONTEXT = 64  # tokens
BUILT_IN: Mapping[str, tuple[str, ...]] = {  # the packages whose versions decide what a data set holds
    "digits": ("scikit-learn",),
    "mnist1d": ("mnist1d", "numpy", "scipy"),
    "text": (),
}


@dataclass(frozen=True, slots=True)
class Request:
    """Data for a task, to be prepared in a cache's folder."""

    spec: DataSpec
    task: Task
    folder: Path

    @property
    def shown(self) -> str:
        """The study file's line, to begin a sentence with."""
        key = next(key for key in ("use", "load", "files") if getattr(self.spec, key) is not None)
        return f'data.{key} = "{self.spec.name}"'

    @property
    def context(self) -> int:
        """Tokens of one sample of a text."""
        return self.spec.context or DEFAULT_CONTEXT

    @property
    def split_seed(self) -> int:
        """Of the order in which rows are cut; it does not depend on where the user's files lie."""
        return seed_of("split", self.spec.use or "own", self.spec.seed)

    def key(self, source: str) -> str:
        """Names the answer; `source` says what the data are before they are cut."""
        spec = self.spec
        parts = (source, self.task, spec.name, spec.seed, spec.validation, spec.test, self.context)
        return f"{seed_of(*map(str, parts)):016x}"

    def built_in_source(self) -> str:
        """Which data a built-in name means here: its packages with their versions.

        Raises:
            UserError: no data set has that name.
            Unavailable: a package that it comes from is not installed.
        """
        name = self.spec.name
        if name not in BUILT_IN:
            raise UserError(f"{self.shown}: no such data set; known: {', '.join(BUILT_IN)}")
        try:
            found = [f"{package} {version(package)}" for package in BUILT_IN[name]]
        except PackageNotFoundError as error:
            raise Unavailable(
                f'{self.shown}: needs {error.name}, which is not installed. pip install "nasd[train]"'
            ) from error
        return ", ".join((name, f"Python {platform.python_version()}", *found))
