"""The private tables (schema `nasd_core`) as SQLModel classes: what migrations create and a test compares.

Nothing on the hot path uses them: those statements are the files in `sql/` and the functions of the migrations.
Imports SQLModel (slow), so commands that only read views must not import this module.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlmodel import Field, SQLModel

from nasd.domain.lifecycle import FINAL, State

SCHEMA = "nasd_core"
_NOW = text("clock_timestamp()")
_FINAL_SQL = ", ".join(f"'{state}'" for state in sorted(FINAL))
_STATES_SQL = ", ".join(f"'{state}'" for state in State)


def _c(kind: Any, *, null: bool = False, default: str | None = None, **more: Any) -> Any:
    return Column(kind, nullable=null, server_default=None if default is None else text(default), **more)


def _id() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def _time(*, null: bool = False) -> Any:
    return Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=null, server_default=None if null else _NOW)
    )


def _fk(columns: list[str], target: str, references: list[str]) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(columns, [f"{SCHEMA}.{target}.{name}" for name in references], ondelete="CASCADE")


class Leader(SQLModel, table=True):
    """One row: who may act. Every controller transaction share-locks it with its own epoch."""

    __tablename__ = "leader"
    __table_args__ = (CheckConstraint("singleton = 1", name="leader_is_one_row"), {"schema": SCHEMA})
    singleton: int = Field(sa_column=Column(Integer, primary_key=True, server_default=text("1"), autoincrement=False))
    epoch: int = Field(sa_column=_c(BigInteger, default="0"))
    holder: str | None = Field(sa_column=_c(Text, null=True))


class LeaderBeat(SQLModel, table=True):
    """The leader's counter, apart from its row so that beating never waits for a share lock."""

    __tablename__ = "leader_beat"
    __table_args__ = ({"schema": SCHEMA},)
    epoch: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    beats: int = Field(sa_column=_c(BigInteger, default="0"))


class Study(SQLModel, table=True):
    """One search. Only the leader and operators write here; finishing an evaluation does not."""

    __tablename__ = "study"
    __table_args__ = (
        UniqueConstraint("name", name="study_name_is_unique"),
        CheckConstraint("state in ('running', 'paused', 'completed', 'stopped')", name="study_state_is_known"),
        CheckConstraint(
            "(state in ('completed', 'stopped')) = (finished_at is not null)", name="study_final_iff_finished"
        ),
        CheckConstraint("trials_budget > 0 and time_budget_s > 0", name="study_budget_is_positive"),
        CheckConstraint("n_trials >= 0 and learned_seq >= 0 and used_s >= 0", name="study_counts_are_not_negative"),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    name: str = Field(sa_column=_c(Text))
    state: str = Field(sa_column=_c(Text, default="'running'"))
    state_reason: str | None = Field(sa_column=_c(Text, null=True))
    seed: int = Field(sa_column=_c(BigInteger))
    spec: Any = Field(sa_column=_c(JSONB))
    data: Any = Field(sa_column=_c(JSONB, null=True))
    recipe: str = Field(sa_column=_c(Text))
    packages: list[str] = Field(sa_column=_c(ARRAY(Text), default="'{}'"))
    strategy: str = Field(sa_column=_c(Text))
    strategy_version: str | None = Field(sa_column=_c(Text, null=True))
    reference: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    joined: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    wanted: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    trials_budget: int | None = Field(sa_column=_c(Integer, null=True))
    time_budget_s: float | None = Field(sa_column=_c(Double, null=True))
    used_s: float = Field(sa_column=_c(Double, default="0"))
    n_trials: int = Field(sa_column=_c(Integer, default="0"))
    learned_seq: int = Field(sa_column=_c(BigInteger, default="0"))
    created_at: datetime = _time()
    started_at: datetime | None = _time(null=True)
    finished_at: datetime | None = _time(null=True)


class Trial(SQLModel, table=True):
    """One architecture at one fidelity. `values` is derived from its current measurements, never written by hand."""

    __tablename__ = "trial"
    __table_args__ = (
        _fk(["study_id"], "study", ["id"]),
        UniqueConstraint("study_id", "number", name="trial_number_is_unique"),
        UniqueConstraint("study_id", "architecture_key", "fidelity", name="trial_is_unique_in_its_study"),
        CheckConstraint(f"state in ({_STATES_SQL})", name="trial_state_is_known"),
        CheckConstraint(f"(state in ({_FINAL_SQL})) = (finished_at is not null)", name="trial_final_iff_finished"),
        CheckConstraint("pending is null or finished_at is not null", name="trial_is_learned_only_when_final"),
        CheckConstraint("pending in ('result', 'revision')", name="trial_pending_is_known"),
        CheckConstraint("pending <> 'result' or learned_seq is null", name="trial_result_is_learned_once"),
        CheckConstraint("violation >= 0", name="trial_violation_is_not_negative"),
        CheckConstraint("state <> 'completed' or violation = 0", name="trial_completed_is_feasible"),
        Index("trial_to_learn", "study_id", "finished_at", "id", postgresql_where=text("pending is not null")),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    number: int = Field(sa_column=_c(Integer))
    state: str = Field(sa_column=_c(Text, default="'queued'"))
    architecture: Any = Field(sa_column=_c(JSONB))
    architecture_key: str = Field(sa_column=_c(Text))
    fidelity: int = Field(sa_column=_c(Integer))
    seed: int = Field(sa_column=_c(BigInteger))
    operator: str = Field(sa_column=_c(Text))
    parents: list[int] = Field(sa_column=_c(ARRAY(Integer), default="'{}'"))
    notes: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    proposed_from: int = Field(sa_column=_c(BigInteger))
    strategy: str = Field(sa_column=_c(Text))
    strategy_version: str = Field(sa_column=_c(Text))
    values: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    violation: float = Field(sa_column=_c(Double, default="0"))
    reason: str | None = Field(sa_column=_c(Text, null=True))
    message: str | None = Field(sa_column=_c(Text, null=True))
    pending: str | None = Field(sa_column=_c(Text, null=True))
    learned_seq: int | None = Field(sa_column=_c(BigInteger, null=True))
    created_at: datetime = _time()
    started_at: datetime | None = _time(null=True)
    finished_at: datetime | None = _time(null=True)


class Evaluation(SQLModel, table=True):
    """One stage of a trial on one device kind: what is leased. `attempt` counts leases, `spent` those that failed.

    Its trial does not wait for one that is not required: its result is a revision.
    """

    __tablename__ = "evaluation"
    __table_args__ = (
        _fk(["trial_id"], "trial", ["id"]),  # and through it the study: a second key would be checked at every insert
        UniqueConstraint("trial_id", "stage", "device_kind", "replicate", "round", name="evaluation_is_unique"),
        CheckConstraint(f"state in ({_STATES_SQL})", name="evaluation_state_is_known"),
        CheckConstraint(f"(state in ({_FINAL_SQL})) = (finished_at is not null)", name="evaluation_final_iff_finished"),
        CheckConstraint("state in ('queued', 'cancelled') or attempt > 0", name="evaluation_ran_only_when_leased"),
        CheckConstraint("spent <= attempt and spent <= max_attempts", name="evaluation_spends_at_most_its_attempts"),
        CheckConstraint("state <> 'failed' or reason is not null", name="evaluation_failed_has_a_reason"),
        CheckConstraint("state <> 'infeasible' or reason is not null", name="evaluation_infeasible_has_a_reason"),
        Index(
            "evaluation_to_lease",
            "device_kind",
            text("priority desc"),
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("evaluation_open_by_study", "study_id", postgresql_where=text("state in ('queued', 'running')")),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    trial_id: int = Field(sa_column=_c(BigInteger))
    stage: str = Field(sa_column=_c(Text))
    device_kind: str = Field(sa_column=_c(Text))
    replicate: int = Field(sa_column=_c(Integer, default="0"))
    round: int = Field(sa_column=_c(Integer, default="1"))
    needs: list[str] = Field(sa_column=_c(ARRAY(Text), default="'{}'"))
    needs_memory_mib: int = Field(sa_column=_c(Integer, default="0"))
    awaits: str | None = Field(sa_column=_c(Text, null=True))
    is_required: bool = Field(sa_column=_c(Boolean, default="true"))
    state: str = Field(sa_column=_c(Text, default="'queued'"))
    priority: int = Field(sa_column=_c(Integer, default="0"))
    attempt: int = Field(sa_column=_c(Integer, default="0"))
    spent: int = Field(sa_column=_c(Integer, default="0"))
    max_attempts: int = Field(sa_column=_c(Integer, default="3"))
    not_before: datetime = Field(sa_column=_c(DateTime(timezone=True), default="'-infinity'"))
    worker_id: int | None = Field(sa_column=_c(BigInteger, null=True))
    reason: str | None = Field(sa_column=_c(Text, null=True))
    message: str | None = Field(sa_column=_c(Text, null=True))
    queued_at: datetime = _time()
    started_at: datetime | None = _time(null=True)
    finished_at: datetime | None = _time(null=True)


class Lease(SQLModel, table=True):
    """The right to report on one evaluation; a row exists exactly while the evaluation is running."""

    __tablename__ = "lease"
    __table_args__ = (
        _fk(["evaluation_id"], "evaluation", ["id"]),
        CheckConstraint("duration_s > 0", name="lease_lasts"),
        CheckConstraint("directive in ('carry_on', 'stop_early', 'abandon')", name="lease_directive_is_known"),
        {"schema": SCHEMA},
    )
    evaluation_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    token: str = Field(sa_column=_c(UUID(as_uuid=False)))
    attempt: int = Field(sa_column=_c(Integer))
    worker_id: int = Field(sa_column=_c(BigInteger))
    renewals: int = Field(sa_column=_c(BigInteger, default="0"))
    duration_s: float = Field(sa_column=_c(Double))
    directive: str = Field(sa_column=_c(Text, default="'carry_on'"))
    progress: Any = Field(sa_column=_c(JSONB, null=True))
    leased_at: datetime = _time()


class Attempt(SQLModel, table=True):
    """One lease of one evaluation, kept for ever: who had it, how it ended, what it printed."""

    __tablename__ = "attempt"
    __table_args__ = (
        _fk(["evaluation_id"], "evaluation", ["id"]),
        CheckConstraint("(ended_at is null) = (ended_how is null)", name="attempt_end_has_a_time"),
        {"schema": SCHEMA},
    )
    evaluation_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    attempt: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    token: str = Field(sa_column=_c(UUID(as_uuid=False)))
    worker_id: int = Field(sa_column=_c(BigInteger))
    leased_at: datetime = _time()
    ended_at: datetime | None = _time(null=True)
    ended_how: str | None = Field(sa_column=_c(Text, null=True))
    reason: str | None = Field(sa_column=_c(Text, null=True))
    message: str | None = Field(sa_column=_c(Text, null=True))
    log: str | None = Field(sa_column=_c(Text, null=True))
    seconds: Any = Field(sa_column=_c(JSONB, null=True))
