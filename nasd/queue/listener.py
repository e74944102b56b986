"""Listener: waits for rings through rq and answers each; goes on by polling where Redis is away.

rq's SimpleWorker runs the loop. What rq would otherwise read of a message beyond its payload (callbacks, webhooks,
results) is never looked at, and nothing that a message names is imported.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import redis
from redis.client import Pipeline
from rq import Queue as _RqQueue
from rq import SimpleWorker
from rq.exceptions import DequeueTimeout, NoSuchJobError
from rq.job import Job as _RqJob
from rq.serializers import JSONSerializer
from rq.utils import now as rq_now
from rq.utils import utcformat

from nasd.domain.ids import DeviceKind
from nasd.queue.doorbell import ENTRY, assert_json, connect, queue_name

logger = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 4096
HEARTBEAT_EVERY_S = 15.0
RECORD_TTL_S = 120  # rq's own record of this worker vanishes this long after its last heartbeat


class StopFlag(Protocol):
    """Says when to leave."""

    @property
    def requested(self) -> bool: ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for a request to leave, at most `timeout_s`; True when there is one."""
        ...

    def interrupting(self) -> AbstractContextManager[None]:
        """While inside, a request raises `KeyboardInterrupt` in the main thread instead of waiting to be looked at."""
        ...


class _Message(_RqJob):
    """What came out of the queue: its payload and nothing else."""

    def restore(self, raw_data: dict[bytes, bytes]) -> None:
        """Keep the payload alone, unread.

        rq's own method would take callback names, webhooks and pickled results from a stranger.
        """
        packed = raw_data.get(b"data")
        if packed is None:
            raise NoSuchJobError(f"message {self.id} has no payload")
        self.data = packed

    def is_ring_for(self, kind: DeviceKind) -> bool:
        """Whether the payload is exactly the project's own message for `kind`."""
        try:
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(self.data, MAX_PAYLOAD_BYTES)
            return bool(unpacker.eof and json.loads(text) == [ENTRY, None, [kind], {}])
        except (zlib.error, ValueError, RecursionError):
            return False

    def perform(self) -> None:
        raise NotImplementedError("a message is compared, never carried out")


class _Bells(_RqQueue):
    """rq's queue, taken from without a second list: a ring lost in mid-air costs one poll, a stuck one costs care."""

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> Any:
        return cls.lpop([queue_key], timeout, connection=connection)


class _Ringer(SimpleWorker):
    """rq's loop, answering rings and polling by itself when none came; obeys no command that comes through Redis."""

    job_class = _Message
    queue_class = _Bells

    def __init__(self, listener: Listener, connection: redis.Redis, name: str) -> None:
        self._listener = listener
        self._beaten_at = float("-inf")
        self.broken: redis.RedisError | None = None
        super().__init__(
            [queue_name(listener.kind)],
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=RECORD_TTL_S,
        )
        assert_json(self.serializer)

    @property
    def connection_timeout(self) -> int:
        return int(self._listener.poll_s) + 1  # longer than the blocking take, so that only a dead Redis times out

    @property
    def should_run_maintenance_tasks(self) -> bool:
        return False  # it repairs registries, which we leave empty, and would import what failed jobs name

    def dequeue_job_and_maintain_ttl(
        self,
        timeout: int | None,  # noqa: ARG002 - rq's signature
        max_idle_time: int | None = None,  # noqa: ARG002
    ) -> tuple[_RqJob, _RqQueue] | None:
        """The next message; None ends rq's loop (a request to leave, or Redis is away)."""
        while not self._listener.stop.requested and self.broken is None:
            self.heartbeat()
            if self._listener.has_more:
                self._listener.answer()
                continue
            try:
                with self._listener.stop.interrupting():
                    return self._take()
            except DequeueTimeout:
                self._listener.answer()  # a lost ring costs one interval
            except KeyboardInterrupt:
                return None
            except redis.RedisError as error:
                self.broken = error
            except (ValueError, TypeError) as error:  # the message's name is none that rq would give
                self._listener.refuse(repr(error))
        return None

    def _take(self) -> tuple[_RqJob, _RqQueue] | None:
        return self.queue_class.dequeue_any(
            self.queues,
            self._listener.poll_s,  # type: ignore[arg-type]  # rq passes it on; Redis takes fractions
            connection=self.connection,
            job_class=self.job_class,
            serializer=self.serializer,
            death_penalty_class=self.death_penalty_class,
        )

    def execute_job(self, job: _RqJob, queue: _RqQueue) -> None:
        """Answer a ring or refuse a message; either way nothing of it stays in Redis."""
        try:
            self.connection.delete(job.key)
        except redis.RedisError as error:
            self.broken = error
        if isinstance(job, _Message) and job.is_ring_for(self._listener.kind):
            self._listener.answer()
        else:
            self._listener.refuse(f"message {job.id} of {queue.name}")

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002
        """Refresh rq's record of this worker, seldom: rq would send three commands around every message."""
        if time.monotonic() - self._beaten_at < HEARTBEAT_EVERY_S:
            return
        self._beaten_at = time.monotonic()
        self.last_heartbeat = rq_now()
        try:
            beat = self.connection.pipeline(transaction=False)
            beat.hset(self.key, "last_heartbeat", utcformat(self.last_heartbeat))
            beat.expire(self.key, RECORD_TTL_S)
            beat.execute()
        except redis.RedisError as error:
            self.broken = error

    def teardown(self) -> None:
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            self.broken = error

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002
        self._state = state  # nobody reads it in Redis

    def check_for_suspension(self, burst: bool) -> None:
        """Redis can't stop a worker; `nasd pause` can."""

    def subscribe(self) -> None:
        """Whoever can write to Redis must not be able to shut a worker down."""

    def procline(self, message: str) -> None: ...

    def _install_signal_handlers(self) -> None:
        """The composition root's stay."""


class Listener:
    """Answers rings for one device kind until told to stop.

    Attributes:
        has_more: the last answer stopped before everything was done.
        refused: messages that were not the project's own.
    """

    def __init__(
        self,
        url: str | None,
        kind: DeviceKind,
        *,
        name: str,
        answer: Callable[[], bool],
        stop: StopFlag,
        poll_s: float,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            url: of Redis; None: poll only.
            kind: whose doorbell.
            name: of this worker, in rq's records.
            answer: does what there is to do; True when it stopped before everything was done.
            stop: looked at between two answers.
            poll_s: answer at least this often, rung or not.
            on_refused: told of each message that is not the project's own.
        """
        self.kind, self.stop, self.poll_s = kind, stop, poll_s
        self.has_more = False
        self.refused = 0
        self._url, self._name, self._answer, self._on_refused = url, name, answer, on_refused
        self._n_connects = 0
        self._is_away = False

    def answer(self) -> None:
        self.has_more = self._answer()

    def refuse(self, what: str) -> None:
        """Count and log a message that is not the project's own."""
        self.refused += 1
        self._on_refused()
        logger.warning("message refused", extra={"fields": {"what": what, "refused": self.refused}})

    def run(self) -> None:
        """Listen until a stop is requested. Redis may come and go."""
        while not self.stop.requested:
            self.answer()
            if self.stop.requested or (self._url is not None and self._listen(self._url)):
                continue
            if not self.has_more:
                self.stop.wait(self.poll_s)

    def _listen(self, url: str) -> bool:
        """Be rung until told to stop or until Redis goes away; False where it could not be reached at all."""
        self._n_connects += 1
        connection = connect(url, timeout_s=1.0)
        try:
            ringer = _Ringer(self, connection, f"{self._name}.{self._n_connects}")
            ringer.log_job_description = False
            self._log_reached()
            ringer.work(logging_level="WARNING")
        except redis.RedisError as error:
            self._log_away(error)
            return False
        finally:
            connection.close()
        if ringer.broken is not None:
            self._log_away(ringer.broken)
        return ringer.broken is None

    def _log_reached(self) -> None:
        if self._is_away:
            logger.info("redis is back")
        self._is_away = False

    def _log_away(self, error: redis.RedisError) -> None:
        if not self._is_away:
            logger.warning("redis is away; polling", extra={"fields": {"error": repr(error), "poll_s": self.poll_s}})
        self._is_away = True
