"""Studies as an operator handles them: create or go on, pause, resume, stop, delete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from nasd.domain.architecture import canonical_json
from nasd.domain.data import DataFacts
from nasd.domain.ids import DeviceKind, StudyId
from nasd.domain.study import StudySpec
from nasd.errors import Unavailable, UserError
from nasd.ports.trials import Study, StudyState, Wanted
from nasd.store import migrate
from nasd.store.connect import Connection, DatabaseAway, open_connection, translated
from nasd.store.trials import study_of
from nasd.store.views import n_controllers
from nasd.studyfile import spec_from_json, spec_to_json
from nasd.usercode import packages_of

_COLUMNS = "id, name, spec, data, state, used_s, strategy_version, reference, joined, wanted"


class PgStudies:
    """Used by commands and roots; opens a connection a call. `Unavailable` where the database can't be used."""

    def __init__(self, url: str) -> None:
        self.url = self._url = url

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with open_connection(self._url, purpose="operator") as connection, translated():
                migrate.check(connection)
                yield connection
        except DatabaseAway as error:
            raise Unavailable(
                f"the database can't be reached: {error}. Check NASD_DATABASE_URL, or unset it to use the embedded one"
            ) from error

    def find(self, name: str) -> Study | None:
        """The study of that name, in whatever state."""
        with self._connected() as connection:
            row = connection.execute(f"select {_COLUMNS} from nasd_core.study where name = %s", [name]).fetchone()  # noqa: S608
        return None if row is None else study_of(row)

    def names(self) -> Sequence[str]:
        """All studies, oldest first."""
        with self._connected() as connection:
            return [row[0] for row in connection.execute("select name from nasd_core.study order by id").fetchall()]

    def n_controllers(self) -> int:
        """How many controllers are connected, the standby ones too."""
        with self._connected() as connection:
            return n_controllers(connection)

    def create(self, spec: StudySpec, data: DataFacts | None) -> StudyId:
        """Store a new study, RUNNING; of two processes that create it at once both get the same id."""
        with self._connected() as connection, connection.transaction():
            row = connection.execute(
                "insert into nasd_core.study "
                "(name, seed, spec, data, recipe, packages, strategy, trials_budget, time_budget_s) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (name) do nothing returning id",
                [
                    spec.name,
                    spec.seed,
                    json.dumps(spec_to_json(spec)),
                    None if data is None else json.dumps(asdict(data)),
                    recipe_hash(spec),
                    list(packages_of(spec)),
                    spec.strategy.use,
                    spec.budget.trials,
                    spec.budget.time_s,
                ],
            ).fetchone()
            if row is not None:
                _event(connection, row[0], "study_created", {})
            else:
                row = connection.execute("select id from nasd_core.study where name = %s", [spec.name]).fetchone()
        assert row is not None
        return StudyId(row[0])

    def go_on(self, study: StudyId, spec: StudySpec, *, why: str) -> None:
        """Take over a changed budget and new device kinds, and set the study RUNNING again.

        It stays COMPLETED where admission has ended for good and no kind is new; what completed is measured on each new
        one.
        """
        with self._connected() as connection, connection.transaction():
            row = connection.execute(
                "select spec, state, (select count(*) from nasd_core.trial as t where t.study_id = s.id "
                "and t.state not in ('failed', 'cancelled')), used_s, state_reason, joined "
                "from nasd_core.study as s where id = %s for update",
                [study],
            ).fetchone()
            assert row is not None
            stored, state, charged, used_s, reason, joined = row
            has_budget = (spec.budget.trials is None or charged < spec.budget.trials) and (
                spec.budget.time_s is None or used_s < spec.budget.time_s
            )
            added = _take_over(connection, study, spec, spec_from_json(stored), joined=joined)
            _want(connection, study, dict.fromkeys(added, Wanted.ALL))
            is_over = state == StudyState.COMPLETED and (not has_budget or str(reason).startswith("the space"))
            if state != StudyState.RUNNING and (added or not is_over):
                self._set(connection, study, StudyState.RUNNING, why)

    def measure(self, name: str, spec: StudySpec, kind: DeviceKind, which: Wanted) -> None:
        """Ask the leader to have trials measured on `kind`, which `spec` has; a COMPLETED study runs until they are.

        Raises:
            UserError: there is no such study, or it is stopped.
        """
        study = self._named(name)
        if study.state is StudyState.STOPPED:
            raise UserError(
                f'study "{name}" is stopped and nothing of it is measured. Take it up first: nasd resume {name}'
            )
        with self._connected() as connection, connection.transaction():
            row = connection.execute(
                "select spec, state, joined from nasd_core.study where id = %s for update", [study.id]
            ).fetchone()
            assert row is not None
            stored, state, joined = row
            _take_over(connection, study.id, spec, spec_from_json(stored), joined=joined)
            _want(connection, study.id, {kind: which})
            if state == StudyState.COMPLETED:
                self._set(connection, study.id, StudyState.RUNNING, f"to be measured on {kind}")
            else:
                connection.execute("select pg_notify('nasd_learn', 'measure')")

    def pause(self, name: str, why: str = "by an operator") -> None:
        """No new trials; what is in flight goes on and is learned."""
        self._change(name, StudyState.PAUSED, why, allowed={StudyState.RUNNING, StudyState.PAUSED})

    def resume(self, name: str) -> None:
        """RUNNING again, from PAUSED or STOPPED."""
        allowed = {StudyState.PAUSED, StudyState.STOPPED, StudyState.RUNNING}
        self._change(name, StudyState.RUNNING, "resumed by an operator", allowed=allowed)

    def stop(self, name: str) -> None:
        """End the study now: what is queued or running is cancelled (and not charged)."""
        allowed = {StudyState.RUNNING, StudyState.PAUSED, StudyState.STOPPED}
        self._change(name, StudyState.STOPPED, "stopped by an operator", allowed=allowed)

    def delete(self, name: str) -> None:
        """Remove the study and everything known of it."""
        study = self._named(name)
        with self._connected() as connection, connection.transaction():
            connection.execute("select nasd_core.cancel_study(%s, 'deleted')", [study.id])
            connection.execute("select nasd_core.delete_study(%s)", [study.id])

    def _named(self, name: str) -> Study:
        study = self.find(name)
        if study is None:
            known = ", ".join(self.names()) or "none yet"
            raise UserError(f'there is no study "{name}"; known: {known}')
        return study

    def _change(self, name: str, state: StudyState, why: str, *, allowed: set[StudyState]) -> None:
        study = self._named(name)
        if study.state not in allowed:
            raise UserError(
                f'study "{name}" is {study.state} and can\'t become {state}; raise its budget and run it again'
            )
        with self._connected() as connection, connection.transaction():
            if state is StudyState.STOPPED:
                connection.execute("select nasd_core.cancel_study(%s, %s)", [study.id, why])
            self._set(connection, study.id, state, why)

    @staticmethod
    def _set(connection: Connection, study: StudyId, state: StudyState, why: str) -> None:
        is_final = state in (StudyState.COMPLETED, StudyState.STOPPED)
        connection.execute(
            "update nasd_core.study set state = %s, state_reason = %s, "
            "finished_at = case when %s then clock_timestamp() end where id = %s",
            [state, why, is_final, study],
        )
        _event(connection, study, f"study_{state}", {"why": why})
        connection.execute("select pg_notify('nasd_learn', %s)", [str(study)])


def _take_over(
    connection: Connection, study: StudyId, spec: StudySpec, old: StudySpec, *, joined: Mapping[str, int]
) -> tuple[DeviceKind, ...]:
    """Store a changed specification; the device kinds that are new in it. The caller holds the study's row.

    Which trial they join with is the leader's to say: until then they are in `spec` and not in `joined`.
    """
    known = old.device_kinds()
    added = tuple(kind for kind in spec.device_kinds() if kind not in known)
    if spec != old:
        connection.execute(
            "update nasd_core.study set spec = %s, trials_budget = %s, time_budget_s = %s, joined = %s where id = %s",
            [
                json.dumps(spec_to_json(spec)),
                spec.budget.trials,
                spec.budget.time_s,
                json.dumps((joined or dict.fromkeys(known, 0)) if added else joined),
                study,
            ],
        )
        data: dict[str, object] = {"budget": asdict(spec.budget)}
        _event(connection, study, "study_changed", data | ({"device_kinds": list(added)} if added else {}))
    return added


def _want(connection: Connection, study: StudyId, wanted: Mapping[DeviceKind, Wanted]) -> None:
    """What the leader is to have measured; all trials where that was asked for before."""
    for kind, which in wanted.items():
        connection.execute(
            "update nasd_core.study set wanted = wanted || jsonb_build_object(%(kind)s::text, "
            "case when wanted ->> %(kind)s = 'all' then 'all' else %(which)s end) where id = %(study)s",
            {"kind": kind, "which": str(which), "study": study},
        )


def recipe_hash(spec: StudySpec) -> str:
    """16 hexadecimal digits over everything that a value depends on beside architecture, fidelity and device."""
    value = spec_to_json(spec)
    recipe = {key: value.get(key) for key in ("data", "model", "train", "measure", "evaluation")}
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:16]


def _event(connection: Connection, study: StudyId, kind: str, data: Mapping[str, object]) -> None:
    connection.execute(
        "insert into nasd_core.event (study_id, kind, data) values (%s, %s, %s)", [study, kind, json.dumps(dict(data))]
    )
