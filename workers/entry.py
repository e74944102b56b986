"""The one function name that a message may carry (`nasd.queue.doorbell.ENTRY`)."""

from nasd.errors import NotBuiltYet


def answer(kind: str) -> None:
    """Never called by nasd's own workers: they compare the name and lease from Postgres.

    Raises:
        NotBuiltYet: always; it is what a foreign rq worker gets that takes nasd's messages.
    """
    raise NotBuiltYet(f'rq worker for "{kind}": only nasd\'s own workers can answer. Start one: nasd worker')
