"""PgCacheStore: a strategy's cache, one row a study. Deleting it changes no proposal."""

from __future__ import annotations

import json

from nasd.domain.ids import LearnedSeq, StudyId
from nasd.store.connect import open_connection, statement, translated


class PgCacheStore:
    """Opens a connection a call: it is used seldom, from the reporter alone."""

    def __init__(self, url: str) -> None:
        self._url = url

    def load(
        self, study: StudyId, strategy_version: str, settings_hash: str
    ) -> tuple[LearnedSeq, dict[str, object]] | None:
        with open_connection(self._url, purpose="controller cache") as connection, translated():
            row = connection.execute(
                "select learned_seq, state from nasd_core.strategy_cache "
                "where study_id = %s and strategy_version = %s and settings_hash = %s",
                [study, strategy_version, settings_hash],
            ).fetchone()
        if row is None or not isinstance(row[1], dict):
            return None
        return LearnedSeq(row[0]), row[1]

    def save(
        self,
        study: StudyId,
        strategy_version: str,
        settings_hash: str,
        *,
        learned_seq: LearnedSeq,
        state: dict[str, object],
    ) -> None:
        with open_connection(self._url, purpose="controller cache") as connection, translated():
            connection.execute(
                statement("save_cache"),
                [study, strategy_version, settings_hash, learned_seq, json.dumps(state)],
            )
