"""The tables that only grow: measurements, facts, fronts, events; and who works (SQLModel, schema `nasd_core`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from nasd.store.tables import SCHEMA, _c, _fk, _id, _time


class Measurement(SQLModel, table=True):
    """What a device observed. Immutable but for `status` (a trigger refuses the rest)."""

    __tablename__ = "measurement"
    __table_args__ = (
        _fk(["trial_id"], "trial", ["id"]),
        CheckConstraint("status in ('current', 'superseded', 'quarantined')", name="measurement_status_is_known"),
        CheckConstraint("value > '-Infinity' and value < 'Infinity'", name="measurement_is_finite"),
        CheckConstraint("n >= 1", name="measurement_has_observations"),
        Index("measurement_of_trial", "trial_id"),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    trial_id: int = Field(sa_column=_c(BigInteger))
    evaluation_id: int = Field(sa_column=_c(BigInteger))
    attempt: int = Field(sa_column=_c(Integer))
    worker_id: int = Field(sa_column=_c(BigInteger))
    device_kind: str = Field(sa_column=_c(Text))
    name: str = Field(sa_column=_c(Text))
    value: float = Field(sa_column=_c(Double))
    unit: str = Field(sa_column=_c(Text))
    spread: float | None = Field(sa_column=_c(Double, null=True))
    n: int = Field(sa_column=_c(Integer, default="1"))
    conditions: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    status: str = Field(sa_column=_c(Text, default="'current'"))
    measured_at: datetime = _time()


class Fact(SQLModel, table=True):
    """The learned order: gap-free within a study, given by the leader alone."""

    __tablename__ = "fact"
    __table_args__ = (
        _fk(["study_id"], "study", ["id"]),
        CheckConstraint("kind in ('result', 'revision')", name="fact_kind_is_known"),
        {"schema": SCHEMA},
    )
    study_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=_c(Text))
    trial_id: int = Field(sa_column=_c(BigInteger))
    number: int = Field(sa_column=_c(Integer))
    state: str = Field(sa_column=_c(Text))
    values: Any = Field(sa_column=_c(JSONB))
    violation: float = Field(sa_column=_c(Double, default="0"))
    at: datetime = _time()


class FrontMember(SQLModel, table=True):
    """A trial's stay on a front, from the fact that let it in to the one that put it out."""

    __tablename__ = "front_member"
    __table_args__ = (
        _fk(["trial_id"], "trial", ["id"]),
        CheckConstraint("(left_seq is null) = (left_because is null)", name="front_member_left_for_a_reason"),
        CheckConstraint("left_seq is null or left_seq >= entered_seq", name="front_member_left_after_it_entered"),
        UniqueConstraint("study_id", "device_kind", "trial_id", "entered_seq", name="front_member_enters_once_a_fact"),
        Index(
            "front_now",
            "study_id",
            "device_kind",
            "trial_id",
            unique=True,
            postgresql_where=text("left_seq is null"),
        ),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    device_kind: str = Field(sa_column=_c(Text))
    trial_id: int = Field(sa_column=_c(BigInteger))
    entered_seq: int = Field(sa_column=_c(BigInteger))
    entered_at: datetime = _time()
    left_seq: int | None = Field(sa_column=_c(BigInteger, null=True))
    left_at: datetime | None = _time(null=True)
    left_because: str | None = Field(sa_column=_c(Text, null=True))


class Hypervolume(SQLModel, table=True):
    """Of a front after a fact, in the study's fixed scoring box; NULL until the box is frozen."""

    __tablename__ = "hypervolume"
    __table_args__ = (_fk(["study_id"], "study", ["id"]), {"schema": SCHEMA})
    study_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    device_kind: str = Field(sa_column=Column(Text, primary_key=True))
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    value: float | None = Field(sa_column=_c(Double, null=True))
    size: int = Field(sa_column=_c(Integer))
    at: datetime = _time()


class Event(SQLModel, table=True):
    """Append-only: explains how every row came to its state."""

    __tablename__ = "event"
    __table_args__ = (Index("event_of_trial", "trial_id"), {"schema": SCHEMA})
    id: int | None = _id()
    at: datetime = _time()
    study_id: int | None = Field(sa_column=_c(BigInteger, null=True))
    trial_id: int | None = Field(sa_column=_c(BigInteger, null=True))
    evaluation_id: int | None = Field(sa_column=_c(BigInteger, null=True))
    attempt: int | None = Field(sa_column=_c(Integer, null=True))
    kind: str = Field(sa_column=_c(Text))
    data: Any = Field(sa_column=_c(JSONB, null=True))


class Device(SQLModel, table=True):
    """One machine of one kind."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("host", "device_kind", name="device_is_unique"), {"schema": SCHEMA})
    id: int | None = _id()
    host: str = Field(sa_column=_c(Text))
    device_kind: str = Field(sa_column=_c(Text))
    facts: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    last_seen_at: datetime = _time()


class Worker(SQLModel, table=True):
    """One registered worker process. `login` is the session user that registered it: no other may act for it."""

    __tablename__ = "worker"
    __table_args__ = (
        CheckConstraint("state in ('live', 'left')", name="worker_state_is_known"),
        Index("worker_live", "device_kind", postgresql_where=text("state = 'live'")),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    name: str = Field(sa_column=_c(Text))
    host: str = Field(sa_column=_c(Text))
    login: str = Field(sa_column=_c(Text, default="session_user"))
    is_revoked: bool = Field(sa_column=_c(Boolean, default="false"))
    device_kind: str = Field(sa_column=_c(Text))
    stages: list[str] = Field(sa_column=_c(ARRAY(Text)))
    studies: list[str] = Field(sa_column=_c(ARRAY(Text), default="'{}'"))
    packages: list[str] = Field(sa_column=_c(ARRAY(Text), default="'{}'"))
    offers: list[str] = Field(sa_column=_c(ARRAY(Text), default="'{}'"))
    memory_mib: int | None = Field(sa_column=_c(Integer, null=True))
    facts: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    state: str = Field(sa_column=_c(Text, default="'live'"))
    beats: int = Field(sa_column=_c(BigInteger, default="0"))
    activity: Any = Field(sa_column=_c(JSONB, default="'{}'"))
    registered_at: datetime = _time()
    last_seen_at: datetime = _time()


class Artifact(SQLModel, table=True):
    """A file that a trial has, by its content hash; the file itself is in the artifact store."""

    __tablename__ = "artifact"
    __table_args__ = (
        _fk(["trial_id"], "trial", ["id"]),
        UniqueConstraint("trial_id", "format", name="artifact_is_one_of_its_format"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$' and n_bytes >= 0", name="artifact_has_a_hash_and_a_size"),
        Index("artifact_by_hash", "sha256"),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    trial_id: int = Field(sa_column=_c(BigInteger))
    format: str = Field(sa_column=_c(Text))
    sha256: str = Field(sa_column=_c(Text))
    n_bytes: int = Field(sa_column=_c(BigInteger))
    at: datetime = _time()


class StrategyCache(SQLModel, table=True):
    """A strategy's cache; deleting a row changes no proposal."""

    __tablename__ = "strategy_cache"
    __table_args__ = (_fk(["study_id"], "study", ["id"]), {"schema": SCHEMA})
    study_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    strategy_version: str = Field(sa_column=_c(Text))
    settings_hash: str = Field(sa_column=_c(Text))
    learned_seq: int = Field(sa_column=_c(BigInteger))
    state: Any = Field(sa_column=_c(JSONB))
    at: datetime = _time()


class Retrained(SQLModel, table=True):
    """A winner trained from scratch under a fresh seed and scored once on the test split."""

    __tablename__ = "retrained"
    __table_args__ = (
        _fk(["study_id"], "study", ["id"]),
        _fk(["trial_id"], "trial", ["id"]),
        UniqueConstraint("trial_id", "replicate", name="retrained_once_a_replicate"),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    study_id: int = Field(sa_column=_c(BigInteger))
    trial_id: int = Field(sa_column=_c(BigInteger))
    replicate: int = Field(sa_column=_c(Integer))
    seed: int = Field(sa_column=_c(BigInteger))
    val_error: float = Field(sa_column=_c(Double))
    test_error: float = Field(sa_column=_c(Double))
    test_loss: float | None = Field(sa_column=_c(Double, null=True))
    at: datetime = _time()
