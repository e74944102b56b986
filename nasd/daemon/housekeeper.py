"""Housekeeper: the slow loop that keeps room among artifacts."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Housekeeper:
    """Runs `tidy` now and then; it must be safe to repeat and costs a listing of the archive."""

    name = "housekeeper"

    def __init__(self, tidy: Callable[[], int], *, every_s: float) -> None:
        """Nothing is looked at yet.

        Args:
            tidy: removes what nothing needs where room grows short; how many artifacts it removed.
            every_s: between two looks.
        """
        self._tidy, self._every_s = tidy, every_s

    def tick(self) -> float:
        n = self._tidy()
        if n:
            log.info("artifacts removed that nothing needs", extra={"fields": {"n": n}})
        return self._every_s

    def reset(self) -> None:
        """Nothing is remembered."""
