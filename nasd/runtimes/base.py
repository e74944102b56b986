"""Runner: a network that is ready to be run, whatever runs it. Imports neither torch nor onnxruntime."""

from __future__ import annotations

from typing import Protocol

from nasd.domain.measurement import JsonObject


class Runner(Protocol):
    """One network on prepared inputs, on one processor.

    Laws: `run` returns when the pass is finished, on whatever device; the inputs are always the same and lie where the
    network wants them. A runner belongs to the thread that opened it.

    Attributes:
        conditions: what a measurement of it depends on: `runtime`, `precision`, `device` ("cpu" where it is the
            processor), `processor`, `batch`, `threads`, and the versions of the libraries that take part.
        n_samples: of one pass.
    """

    @property
    def conditions(self) -> JsonObject: ...

    @property
    def n_samples(self) -> int: ...

    def run(self) -> None:
        """One forward pass, synchronised."""

    def close(self) -> None:
        """Free what it holds and put back what it set, such as a number of threads; it is not run again."""
