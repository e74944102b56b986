"""RqDoorbell: rings workers of a device kind through an rq queue. Owns the message's form and how to connect.

It must not know what the work is: a message carries the device kind and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue as _RqQueue
from rq.serializers import JSONSerializer, resolve_serializer

from nasd.domain.ids import DeviceKind

logger = logging.getLogger(__name__)

ENTRY = "workers.entry.answer"  # the only function name a message may carry; it is compared, never imported
PREFIX = "nasd:"
KEEP_FAILURE_S = 60


def queue_name(kind: DeviceKind) -> str:
    """The rq queue of a device kind."""
    return f"{PREFIX}{kind}"


def connect(url: str, *, timeout_s: float) -> redis.Redis:
    """A connection that gives up after `timeout_s` instead of hiding an outage behind retries.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: for connecting and for every reply.
    """
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),  # redis-py's default waits seconds before it says that nobody is there
        health_check_interval=0,
    )


class RqDoorbell:
    """`nasd.ports.queue.Queue` over rq, JSON only."""

    def __init__(self, url: str, *, timeout_s: float = 1.0) -> None:
        self._connection = connect(url, timeout_s=timeout_s)
        self._queues: dict[DeviceKind, _RqQueue] = {}

    def ring(self, kind: DeviceKind) -> bool:
        """Put one message into the queue of `kind` where it is empty.

        Two callers at the same moment may put two: a message too many finds nothing to do.
        """
        try:
            queue = self._queue(kind)
            if self._connection.llen(queue.key) == 0:
                pipeline = self._connection.pipeline()  # message and list in one round trip, both or neither
                queue.enqueue_call(
                    ENTRY,
                    args=(kind,),
                    timeout=-1,
                    result_ttl=0,
                    failure_ttl=KEEP_FAILURE_S,
                    description=f"work for {kind}",
                    pipeline=pipeline,
                )
                pipeline.execute()
        except redis.RedisError as error:
            logger.debug("doorbell unreachable", extra={"fields": {"device_kind": kind, "error": repr(error)}})
            return False
        return True

    def depths(self, kinds: Sequence[DeviceKind]) -> dict[DeviceKind, int]:
        try:
            pipeline = self._connection.pipeline(transaction=False)
            for kind in kinds:
                pipeline.llen(self._queue(kind).key)
            return dict(zip(kinds, (int(depth) for depth in pipeline.execute()), strict=True))
        except redis.RedisError:
            return {}

    def close(self) -> None:
        self._connection.close()

    def _queue(self, kind: DeviceKind) -> _RqQueue:
        queue = self._queues.get(kind)
        if queue is None:
            queue = _RqQueue(queue_name(kind), connection=self._connection, serializer=JSONSerializer)
            assert_json(queue.serializer)
            self._queues[kind] = queue
        return queue


def assert_json(serializer: object) -> None:
    """Refuse to run with any serialiser but JSON: rq's default is pickle, which executes what it reads.

    Raises:
        TypeError: rq resolved to another one.
    """
    if serializer is not resolve_serializer("json"):
        raise TypeError(f"the doorbell must speak JSON, not {serializer!r}")
