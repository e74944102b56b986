"""The root of a controller process: wires Postgres, the doorbell and telemetry to the daemon's loops."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from functools import partial
from pathlib import Path
from threading import Event

from prometheus_client import CollectorRegistry

from nasd.app.artifacts import make_room, served
from nasd.app.endpoints import Endpoints
from nasd.config import Settings
from nasd.daemon.controller import Controller, Outside
from nasd.daemon.parts import build_parts
from nasd.queue.doorbell import RqDoorbell
from nasd.store.cache import PgCacheStore
from nasd.store.fleet import PgFleetStore
from nasd.store.leadership import PgLeadership
from nasd.store.listen import listen
from nasd.store.trials import PgTrialStore
from nasd.telemetry.controller import ControllerTelemetry
from nasd.telemetry.server import MetricsServer


def serve(settings: Settings, endpoints: Endpoints, stop: Event) -> None:
    """Serve every study of the database until `stop` is set.

    Raises:
        SettingsError: the metrics port or that of artifacts can't be had.
    """
    importlib.import_module("nasd.strategies.screened")  # pymoo and scipy import slowly: do it before leading
    url, registry = endpoints.database["controller"], CollectorRegistry()
    telemetry = ControllerTelemetry(registry)
    server = None if settings.metrics_port is None else MetricsServer(registry, port=settings.metrics_port)
    outside = Outside(
        trials=lambda purpose: PgTrialStore(
            url,
            purpose=purpose,
            max_attempts=settings.lease.max_attempts,
            backoff_s=settings.lease.backoff_s,
        ),
        fleet=lambda purpose: PgFleetStore(url, purpose=purpose),
        leadership=lambda: PgLeadership(url),
        caches=lambda: PgCacheStore(url),
        queue=lambda: RqDoorbell(endpoints.redis["controller"]),
        listen=lambda on_notify, ended: listen(url, on_notify, ended),
        telemetry=telemetry,
        build_parts=partial(build_parts, allow=settings.controller.allow),
        tidy=lambda: make_room(settings, endpoints),
    )
    for folder in (settings.controller.folder, Path.cwd()):  # where packages of the user's are, after all others
        if folder is not None and str(folder) not in sys.path:
            sys.path.append(str(folder))
    try:
        holder = f"{socket.gethostname()}-{os.getpid()}"
        with served(settings, endpoints):
            Controller(outside, settings=settings.controller, holder=holder).run(stop)
    finally:
        if server is not None:
            server.close()
