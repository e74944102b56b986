"""How well each device kind's latency predictor knows its device: the errors that `nasd devices compare` shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nasd.app.stored import stored_study
from nasd.controller.mind import rebuild
from nasd.controller.predictor import PredictorQuality, predictor_quality
from nasd.daemon.parts import build_parts
from nasd.domain.ids import DeviceKind

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
    study, trials, facts = stored_study(url, name, purpose="predictors")
    wanted = {
        kind for kind in map(DeviceKind, kinds) if any(each.name == QUANTITY for each in study.spec.objectives_on(kind))
    }
    mind = rebuild(build_parts(study, allow=allow), trials, facts, reference=study.reference)
    return {kind: predictor_quality(mind, DeviceKind(kind), QUANTITY) if kind in wanted else None for kind in kinds}
