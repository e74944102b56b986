"""`python -m workers`: one worker against given services, whose URLs come from the environment alone."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

from nasd.config import Settings, read_settings, with_users_code
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.errors import SettingsError, UserError
from nasd.store.leases import PgLeaseStore
from nasd.telemetry.logs import configure
from workers.devices import worker_info
from workers.joining import credentials_file, joined
from workers.serving import serve

__all__ = ["main", "serve"]


def main(arguments: list[str] | None = None) -> int:
    """Run one worker.

    Returns:
        0 after draining, 2 for a mistake that the user can mend.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        configure(settings.log_level)
        if options.home is not None:
            settings = settings.model_copy(update={"home": options.home})
        stages = tuple(Stage(stage) for stage in options.stages) if options.stages else None
        settings = with_users_code(settings, allow=options.allow, folder=options.folder)
        where = _where(settings, options.device, options.device_kind)
        info = worker_info(
            where.kind,
            stages=stages,
            studies=options.studies,
            packages=where.settings.worker.allow,
            memory_limit_mib=where.settings.worker.memory_limit_mib,
        )
        lease = settings.lease
        store = PgLeaseStore(where.database_url, duration_s=lease.duration_s, backoff_s=lease.backoff_s)
        return serve(store, where.redis_url, info, where.settings, once=options.once)
    except UserError as error:
        print(f"nasd: {error}", file=sys.stderr)
        return 2


@dataclass(frozen=True, slots=True)
class _Where:
    """What is served, as which kind."""

    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    kind: DeviceKind
    settings: Settings


def _where(settings: Settings, device: Path | None, kind: str | None) -> _Where:
    """Given services, or those that this machine joined as a device."""
    if settings.database_url is not None and device is None:
        return _Where(settings.database_url, settings.redis_url, DeviceKind(kind or LOCAL), settings)
    found = joined(settings, credentials_file(settings, device))
    if found is None:
        raise SettingsError(
            "NASD_DATABASE_URL is not set and this machine has not joined as a device: set it, or NASD_JOIN to a"
            " token of `nasd device add`; `nasd run` brings services of its own"
        )
    return _Where(found.database_url, found.redis_url, found.kind_unless(kind), found.settings(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers",
        description="Lease evaluations from the database in NASD_DATABASE_URL, woken through NASD_REDIS_URL, or as the "
        "device that this machine joined as (NASD_JOIN joins).",
    )
    parser.add_argument("--device-kind", help="the kind of device this is (default: as it was added, or local)")
    parser.add_argument("--device", type=Path, help="credentials of the device that this machine joined as")
    parser.add_argument("--studies", type=_names, default=(), help="serve only these, separated by commas")
    parser.add_argument("--stages", type=_stages, default=(), help="do only these: train, measure, run (default: all)")
    parser.add_argument("--allow", type=_names, default=(), help="run users' functions from these packages")
    parser.add_argument("--folder", type=Path, help="where users' packages and files are (default: here)")
    parser.add_argument("--once", action="store_true", help="leave as soon as nothing is left to do")
    parser.add_argument("--home", type=Path, help="folder for results that could not be reported (default: .nasd)")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _stages(text: str) -> tuple[str, ...]:
    names = _names(text)
    unknown = [name for name in names if name not in set(Stage)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such stage; known: {', '.join(Stage)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
