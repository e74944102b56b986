"""Settings: one frozen tree, read once in a composition root and passed down as the smallest part needed.

Only this module reads the environment. Every default is safe.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as EnvironmentValueError

from nasd.errors import SettingsError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _packages(allow: tuple[str, ...]) -> tuple[str, ...]:
    for name in allow:
        if not name.isidentifier():
            raise ValueError(f'"{name}" is no top-level package: allow the part before the first dot')
    return allow


class LeaseSettings(_Frozen):
    """How long a worker may stand still before its work is given to another."""

    duration_s: PositiveFloat = 30.0
    renew_every_s: PositiveFloat = 5.0
    max_attempts: PositiveInt = 3
    backoff_s: NonNegativeFloat = 1.0  # doubled with every attempt

    @model_validator(mode="after")
    def _two_lost_renewals_are_survivable(self) -> Self:
        if self.renew_every_s * 3 > self.duration_s:
            raise ValueError(
                f"renew_every_s={self.renew_every_s} must be at most a third of duration_s={self.duration_s}"
            )
        return self


class WorkerSettings(_Frozen):
    """The evaluating child and its limits."""

    recycle_after: PositiveInt = 500  # evaluations of one child
    recycle_rss_growth_mib: PositiveInt = 512
    time_limit_s: PositiveFloat = 3600.0  # of one evaluation, where the study file gives none
    memory_limit_mib: PositiveInt | None = None
    drain_s: PositiveFloat = 8.0  # after SIGTERM the child gets this long to reach a step boundary
    beat_every_s: PositiveFloat = 2.0
    idle_poll_s: PositiveFloat = 2.0  # a lost ring costs at most this
    metrics_port: int | None = Field(default=None, ge=0, le=65535)  # of a worker; None: no server, 0: any free
    allow: tuple[str, ...] = ()  # top-level packages that users' functions may be imported from
    folder: Path | None = None  # where users' packages and files are; None: the current folder
    artifacts_cache_mib: PositiveInt = 1024  # of fetched artifacts that a host keeps, the longest unused go first

    @field_validator("allow")
    @classmethod
    def _names_packages(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        return _packages(allow)


class ControllerSettings(_Frozen):
    """The daemon's loops."""

    poll_s: PositiveFloat = 1.0  # when no notification came
    reap_every_s: PositiveFloat = 1.0
    sweep_every_s: PositiveFloat = 1.0
    report_every_s: PositiveFloat = 1.0
    tidy_every_s: PositiveFloat = 60.0  # looks for room among artifacts
    takeover_s: PositiveFloat = 5.0  # a leader that stands still this long is deposed
    cache_every: PositiveInt = 500  # learned facts between two stored strategy caches
    batch: PositiveInt = 64  # facts learned in one transaction at most
    allow: tuple[str, ...] = ()  # top-level packages that `evaluation.costs` may be imported from
    folder: Path | None = None  # where they are looked for before the current folder

    @field_validator("allow")
    @classmethod
    def _names_packages(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        return _packages(allow)


class Settings(BaseSettings):
    """Everything that is not part of a study. `NASD_DATABASE_URL`, `NASD_LEASE__DURATION_S`, ..."""

    model_config = SettingsConfigDict(env_prefix="NASD_", env_nested_delimiter="__", frozen=True, extra="ignore")

    database_url: str | None = None  # None: the embedded Postgres
    redis_url: str | None = None  # None: the embedded Valkey
    home: Path | None = None  # None: .nasd beside the study
    cache: Path | None = None  # what can be made again, such as prepared data; None: nasd in the user's cache folder
    role_prefix: str = Field(default="nasd", pattern=r"^[a-z][a-z0-9_]{0,20}$")
    metrics_port: int | None = Field(default=None, ge=0, le=65535)  # of the controller; None: no server, 0: any free
    artifacts_url: str | None = None  # file://, http(s):// or any fsspec URL; None: the folder `artifacts` of the home
    artifacts_token: str | None = None  # for http(s)://
    artifacts_ca: Path | None = None  # the certificate that signed an https:// store's; None: the system's
    artifacts_quota_mib: PositiveInt = 4096  # of all artifacts in a folder or behind an fsspec URL
    artifacts_listen: str | None = Field(
        default=None, pattern=r"^\S+:\d{1,5}$"
    )  # HOST:PORT where a controller serves them
    join: SecretStr | None = None  # token with which this machine becomes a device: what `nasd device add` prints
    parent: int | None = None  # process whose end ends this one; set by `nasd run` for its children
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    lease: LeaseSettings = LeaseSettings()
    worker: WorkerSettings = WorkerSettings()
    controller: ControllerSettings = ControllerSettings()


def read_settings() -> Settings:
    """The settings of this process's environment.

    Raises:
        SettingsError: one sentence that names the variable, its value and what it must be.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise settings_error(error) from error
    except EnvironmentValueError as error:
        quoted = str(error).split('"')
        group = f"NASD_{quoted[1].upper()}" if len(quoted) > 1 else "a NASD_ variable"
        raise SettingsError(
            f"{group}: is a group of settings. Unset it and set single ones, such as NASD_LEASE__DURATION_S=30"
        ) from error


def with_users_code(
    settings: Settings, *, allow: Sequence[str], folder: Path | None, of: Literal["worker", "controller"] = "worker"
) -> Settings:
    """The same, with what options say of users' code in the place of what the environment says.

    Args:
        of: which group of settings they belong to.

    Raises:
        SettingsError: a package that is none, or a folder that does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"--folder {folder}: no such folder. Name the one that holds your packages")
    for name in allow:
        if not name.isidentifier():
            raise SettingsError(f"--allow {name}: is no top-level package; allow the part before the first dot")
    changes = {"allow": tuple(allow)} if allow else {}
    more = {} if folder is None else {"folder": folder.absolute()}
    return settings.model_copy(update={of: getattr(settings, of).model_copy(update={**changes, **more})})


def cache_folder() -> tuple[Path | None, bool]:
    """Where this machine keeps what can be made again, and whether the user asked for that folder.

    `NASD_CACHE`, or `nasd` in `XDG_CACHE_HOME` or `~/.cache`; None for a user without a home. It need not exist, and
    may not be writable.
    """
    asked_for = os.environ.get("NASD_CACHE")  # as `Settings.cache`, which takes a millisecond, at every evaluation
    if asked_for:
        return Path(asked_for).expanduser().absolute(), True
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "nasd", False
    except RuntimeError:
        return None, False


def meter_function() -> str | None:
    """`NASD_METER`, the user's own energy meter (`package.module:function`), as the evaluating process finds it."""
    return os.environ.get("NASD_METER") or None


def config_folder() -> Path:
    """Where a user's programs keep what they were told: `nasd` in `XDG_CONFIG_HOME` or `~/.config`.

    Raises:
        SettingsError: the user has no home.
    """
    return _user_folder("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """Where they keep what outlives them: `nasd` in `XDG_STATE_HOME` or `~/.local/state`.

    Raises:
        SettingsError: the user has no home.
    """
    return _user_folder("XDG_STATE_HOME", ".local/state")


def _user_folder(variable: str, otherwise: str) -> Path:
    base = Path(os.environ.get(variable, ""))
    try:
        return (base if base.is_absolute() else Path.home() / otherwise) / "nasd"
    except RuntimeError as error:
        raise SettingsError("this user has no home folder: set NASD_HOME to a folder for this device") from error


def settings_error(error: ValidationError) -> SettingsError:
    """The first of pydantic's findings as one sentence; values that may hold a password are not shown."""
    first = error.errors(include_url=False, include_context=False)[0]
    variable = "NASD_" + "__".join(str(step).upper() for step in first["loc"])
    problem = first["msg"].removeprefix("Value error, ").replace("Input should ", "must ")
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{variable}: no such setting. Unset it")
    is_secret = variable.endswith(("_URL", "_TOKEN")) or isinstance(first["input"], dict)
    shown = variable if is_secret else f"{variable}={first['input']}"
    return SettingsError(f"{shown}: {problem[:1].lower()}{problem[1:]}. Correct or unset it")
