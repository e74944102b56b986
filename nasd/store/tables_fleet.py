"""The table of devices that have a login of their own (SQLModel, schema `nasd_core`)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, DateTime, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nasd.store.tables import SCHEMA, _c, _id, _time


class Login(SQLModel, table=True):
    """One added device. A name is free again once its device was revoked; a role is never used twice.

    `redis_password` is there until the device has it; of its token for artifacts the hash alone is known.
    """

    __tablename__ = "login"
    __table_args__ = (
        UniqueConstraint("role", name="login_role_is_unique"),
        CheckConstraint("is_revoked = (revoked_at is not null)", name="login_is_revoked_at_a_time"),
        CheckConstraint(
            "not is_revoked or (redis_password is null and artifacts_digest is null)",
            name="login_forgets_when_revoked",
        ),
        CheckConstraint("artifacts_digest ~ '^[0-9a-f]{64}$'", name="login_digest_is_a_hash"),
        Index("login_in_use", "name", unique=True, postgresql_where=text("not is_revoked")),
        {"schema": SCHEMA},
    )
    id: int | None = _id()
    name: str = Field(sa_column=_c(Text))
    device_kind: str = Field(sa_column=_c(Text))
    role: str = Field(sa_column=_c(Text))
    is_revoked: bool = Field(sa_column=_c(Boolean, default="false"))
    is_draining: bool = Field(sa_column=_c(Boolean, default="false"))
    expires_at: datetime = Field(sa_column=_c(DateTime(timezone=True)))
    redis_password: str | None = Field(sa_column=_c(Text, null=True))
    artifacts_digest: str | None = Field(sa_column=_c(Text, null=True))
    created_at: datetime = _time()
    joined_at: datetime | None = _time(null=True)
    revoked_at: datetime | None = _time(null=True)
