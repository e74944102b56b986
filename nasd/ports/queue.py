"""The doorbell: says that there is work for a device kind.

It may lose, double or delay a ring; only latency suffers.
"""

from collections.abc import Sequence
from typing import Protocol

from nasd.domain.ids import DeviceKind


class Queue(Protocol):
    """One doorbell a device kind.

    Laws: `ring` on a queue that already holds a ring adds none; an unreachable queue raises nothing, it returns False.
    """

    def ring(self, kind: DeviceKind) -> bool:
        """Wake workers of `kind`; False when the queue can't be reached (the sweep rings again)."""
        ...

    def depths(self, kinds: Sequence[DeviceKind]) -> dict[DeviceKind, int]:
        """Rings waiting by kind; empty when the queue can't be reached."""
        ...
