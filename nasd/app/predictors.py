"""How well each device kind's latency predictor knows its device: the errors that `nasd devices compare` shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nasd.controller.mind import rebuild
from nasd.controller.predictor import PredictorQuality, predictor_quality
from nasd.daemon.parts import build_parts
from nasd.domain.ids import DeviceKind
from nasd.errors import Unavailable, UserError
from nasd.store.connect import DatabaseAway
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore

QUANTITY = "latency_ms"


def predictor_errors(
    url: str, name: str, kinds: Sequence[str], *, allow: Collection[str] = ()
) -> dict[str, PredictorQuality | None]:
    """Kind -> the error of its predictor by leaving out one measurement at a time; None while it has too few.

    Args:
        url: of the database, as its controller.
        allow: packages that the function of `evaluation.costs` may be imported from.

    Raises:
        UserError: there is no such study, or this program can't build its space or strategy.
        Unavailable: the database can't be reached.
    """
    store = PgTrialStore(url, purpose="predictors")
    study = PgStudies(url).find(name)
    if study is None:
        raise UserError(f'there is no study "{name}"')
    wanted = {
        kind for kind in map(DeviceKind, kinds) if any(each.name == QUANTITY for each in study.spec.objectives_on(kind))
    }
    try:
        trials, facts = store.history(study.id)
    except DatabaseAway as error:
        raise Unavailable(f"the database can't be reached: {error}") from error
    finally:
        store.close()
    mind = rebuild(build_parts(study, allow=allow), trials, facts, reference=study.reference)
    return {kind: predictor_quality(mind, DeviceKind(kind), QUANTITY) if kind in wanted else None for kind in kinds}
