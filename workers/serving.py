"""serve: puts a worker together around a store and runs it until it is told to leave."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from nasd.artifacts import open_store
from nasd.config import Settings
from nasd.domain.ids import WorkerId
from nasd.domain.measurement import Stage
from nasd.errors import UserError
from nasd.ports.lease import LeaseStore, WorkerInfo
from nasd.queue.doorbell import RqDoorbell
from nasd.queue.listener import Listener
from workers.courier import Courier
from workers.evaluator import Evaluator
from workers.hostlock import DEFAULT_DIRECTORY
from workers.keeper import Keeper
from workers.reporter import Reporter
from workers.session import Session
from workers.spool import Spool
from workers.stats import WorkerStats
from workers.stop import Stop

logger = logging.getLogger(__name__)

_TORCH = "torch"  # among a worker's offers


def serve(
    store: LeaseStore,
    redis_url: str | None,
    info: WorkerInfo,
    settings: Settings,
    *,
    once: bool = False,
    stats: WorkerStats | None = None,
    stop: Stop | None = None,
    lock_directory: Path = DEFAULT_DIRECTORY,
) -> int:
    """Be a worker until SIGTERM or SIGINT (or `stop`), or until nothing is left if `once`.

    Args:
        store: called from two threads, by turns or at once.
        redis_url: of the doorbell; None: poll only.
        info: of this worker.
        settings: limits and intervals.
        once: leave as soon as nothing can be leased.
        stats: to count in; for an exporter of metrics.
        stop: to be asked from another thread.
        lock_directory: of the host's measuring lock.

    Returns:
        The exit status: 0.

    Raises:
        UserError: the store refuses this worker.
    """
    stats, stop = stats or WorkerStats(), stop or Stop()
    evaluator = Evaluator(
        settings.worker,
        warm=_TORCH in info.offers and set(info.stages) != {Stage.RUN},
        wake=stop.fileno(),
        is_stopping=lambda: stop.requested,
        lock_directory=lock_directory,
        scratch=_home(settings) / "scratch",
    )
    with _metrics(settings.worker.metrics_port, stats), _signals(stop, evaluator), contextlib.closing(evaluator):
        evaluator.start()
        worker = _register(store, info, stop)
        if worker is not None:
            _Parts(store, worker, redis_url, info, settings, evaluator, stats, stop).work(once=once)
            _leave(store, worker)
    logger.info("worker left", extra={"fields": {"worker": info.name} | stats.activity_s})
    return 0


@dataclass(frozen=True, slots=True)
class _Parts:
    """A registered worker and what it works with."""

    store: LeaseStore
    worker: WorkerId
    redis_url: str | None
    info: WorkerInfo
    settings: Settings
    evaluator: Evaluator
    stats: WorkerStats
    stop: Stop

    def work(self, *, once: bool) -> None:
        """Until told to leave, or until nothing is left if `once`."""
        keeper = Keeper(
            self.store,
            self.worker,
            self.evaluator,
            self.stats,
            lease=self.settings.lease,
            settings=self.settings.worker,
        )
        bell = RqDoorbell(self.redis_url) if self.redis_url is not None else None
        session = self._session(keeper, bell)
        keeper.start()
        try:
            if once:
                while session.drain():
                    pass
            else:
                self._listen(session)
        finally:
            keeper.close()
            if bell is not None:
                if self.stop.requested:
                    bell.ring(self.info.device_kind)  # for what was given back, and for a ring taken while leaving
                bell.close()

    def _session(self, keeper: Keeper, bell: RqDoorbell | None) -> Session:
        spool = Spool(_home(self.settings) / "spool" / self.info.host)
        return Session(
            self.store,
            self.worker,
            evaluator=self.evaluator,
            keeper=keeper,
            reporter=Reporter(self.store, self.worker, spool, self.stats, self.stop),
            courier=_courier(self.settings, self.stop),
            stats=self.stats,
            stop=self.stop,
            pass_on=(lambda: bell.ring(self.info.device_kind)) if bell is not None else (lambda: None),
        )

    def _listen(self, session: Session) -> None:
        """Answer rings until told to leave. rq swallows what its loop raises, so a refusal is carried past it."""
        refusals: list[UserError] = []

        def answer() -> bool:
            try:
                return session.drain()
            except UserError as error:
                refusals.append(error)
                self.stop.request()
                return False

        listener = Listener(
            self.redis_url,
            self.info.device_kind,
            name=f"nasd.{self.info.name}",
            answer=answer,
            stop=self.stop,
            poll_s=self.settings.worker.idle_poll_s,
            on_refused=self.stats.refuse,
        )
        listener.run()
        if refusals:
            raise refusals[0]


def _courier(settings: Settings, stop: Stop) -> Courier:
    home = _home(settings)
    artifacts = open_store(
        settings.artifacts_url,
        home,
        settings.artifacts_token,
        ca=settings.artifacts_ca,
        quota_bytes=settings.artifacts_quota_mib << 20,
    )
    return Courier(
        artifacts,
        home,
        cache_bytes=settings.worker.artifacts_cache_mib << 20,
        wait=stop.wait,
        is_stopping=lambda: stop.requested,
    )


def _home(settings: Settings) -> Path:
    return (settings.home or Path(".nasd")).absolute()


def _register(store: LeaseStore, info: WorkerInfo, stop: Stop) -> WorkerId | None:
    """Register, waiting for the store; None on a request to leave."""
    wait_s = 0.2
    while True:
        try:
            worker = store.register(info)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - a worker that starts before its database waits for it
            logger.warning("store unreachable; waiting", extra={"fields": {"error": repr(error)}})
            if stop.wait(wait_s):
                return None
            wait_s = min(wait_s * 2, 5.0)
        else:
            fields = {"worker": info.name, "device_kind": info.device_kind, "stages": ",".join(info.stages)}
            logger.info("worker registered", extra={"fields": fields})
            return worker


def _leave(store: LeaseStore, worker: WorkerId) -> None:
    try:
        store.leave(worker)
    except Exception as error:  # noqa: BLE001 - leaving is a courtesy: its silence says the same a little later
        logger.warning("could not say goodbye", extra={"fields": {"error": repr(error)}})


@contextlib.contextmanager
def _metrics(port: int | None, stats: WorkerStats) -> Iterator[None]:
    """Serve /metrics meanwhile, where a port is set."""
    if port is None:
        yield
        return
    from prometheus_client import CollectorRegistry

    from nasd.telemetry.server import MetricsServer
    from nasd.telemetry.worker import WorkerTelemetry

    registry = CollectorRegistry()
    stats.observer = WorkerTelemetry(registry, stats=lambda: stats)
    server = MetricsServer(registry, port=port)
    logger.info("metrics served", extra={"fields": {"port": server.port}})
    try:
        yield
    finally:
        server.close()


@contextlib.contextmanager
def _signals(stop: Stop, evaluator: Evaluator) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains, the second leaves at once; handlers exist in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: FrameType | None) -> None:
        if stop.requested:
            evaluator.kill()
            os._exit(128 + number)
        stop.request_by_signal()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
