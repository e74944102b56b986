"""CacheStore: where a strategy's cache is kept. Deleting all of it changes no proposal, only the time to resume."""

from typing import Protocol

from nasd.domain.ids import LearnedSeq, StudyId


class CacheStore(Protocol):
    """At most one cache a study.

    Laws: `load` answers only what was saved under the same version and settings; a newer `save` replaces an older
    one, an older one never a newer one of the same version and settings; an unreadable entry reads as None.
    """

    def load(
        self, study: StudyId, strategy_version: str, settings_hash: str
    ) -> tuple[LearnedSeq, dict[str, object]] | None: ...

    def save(
        self,
        study: StudyId,
        strategy_version: str,
        settings_hash: str,
        *,
        learned_seq: LearnedSeq,
        state: dict[str, object],
    ) -> None: ...
