"""RecipeBook: recipes of the studies that a worker serves, fetched once, and again where a device kind has joined."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from nasd.domain.ids import StudyId, WorkerId
from nasd.domain.measurement import Stage
from nasd.errors import UserError
from nasd.ports.lease import Lease, LeaseStore
from workers.recipe import Recipe
from workers.stop import Stop

logger = logging.getLogger(__name__)

_MOST = 64


class RecipeBook:
    """One worker's. A recipe is the same object for as long as it says the same, so that the child is told once."""

    def __init__(self, store: LeaseStore, worker: WorkerId, stop: Stop) -> None:
        self._store, self._worker, self._stop = store, worker, stop
        self._recipes: dict[StudyId, Mapping[str, object]] = {}
        self._read: dict[StudyId, Recipe] = {}

    def of(self, lease: Lease) -> Mapping[str, object] | None:
        """The recipe of a lease's study, waiting for the store; None on a request to leave.

        Raises:
            UserError: the store refuses this worker.
            WorldFault: this version of the program can't read the recipe.
        """
        study, wait_s = lease.study_id, 0.1
        while study not in self._recipes or self._may_have_changed(lease):
            try:
                self._keep(study, self._store.recipe(self._worker, study))
                break
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever ails the store; the lease is renewed
                logger.warning("store unreachable", extra={"fields": {"error": repr(error)}})
                if self._stop.wait(wait_s):
                    return None
                wait_s = min(wait_s * 2, 2.0)
        return self._recipes[study]

    def limit_s(self, lease: Lease) -> float | None:
        """The study's own limit for one evaluation of the lease's stage; `of` comes first.

        Raises:
            WorldFault: this version of the program can't read the recipe.
        """
        return self._recipe(lease.study_id).time_limit_s(lease.stage)

    def _may_have_changed(self, lease: Lease) -> bool:
        """Device kinds may join a study: measuring on one that the recipe does not know, and making files for it."""
        if lease.stage is Stage.MEASURE:
            return lease.device_kind not in self._recipe(lease.study_id).spec.device_kinds()
        return lease.stage is Stage.EXPORT

    def _recipe(self, study: StudyId) -> Recipe:
        if study not in self._read:
            self._read[study] = Recipe.read(self._recipes[study])
        return self._read[study]

    def _keep(self, study: StudyId, recipe: Mapping[str, object]) -> None:
        if self._recipes.get(study) == recipe:
            return
        if len(self._recipes) >= _MOST:
            self._recipes.clear()
            self._read.clear()
        self._recipes[study] = recipe
        self._read.pop(study, None)
