"""A study as its rows have it: what replaying and judging predictors begin from."""

from __future__ import annotations

from collections.abc import Sequence

from nasd.domain.history import Fact
from nasd.errors import Unavailable, UserError
from nasd.ports.trials import StoredTrial, Study
from nasd.store.connect import DatabaseAway
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore


def stored_study(url: str, name: str, *, purpose: str) -> tuple[Study, Sequence[StoredTrial], Sequence[Fact]]:
    """The study with its trials and facts, read in one snapshot; it may be running meanwhile.

    Args:
        url: of the database, as its controller.
        name: of the study, in whatever state.
        purpose: of the connection, for its title.

    Raises:
        UserError: there is no such study.
        Unavailable: the database can't be reached.
    """
    studies, store = PgStudies(url), PgTrialStore(url, purpose=purpose)
    study = studies.find(name)
    if study is None:
        raise UserError(f'there is no study "{name}"; known: {", ".join(studies.names()) or "none yet"}')
    try:
        trials, facts = store.history(study.id)
    except DatabaseAway as error:
        raise Unavailable(f"the database can't be reached: {error}") from error
    finally:
        store.close()
    return study, trials, facts
