"""Being told at once: LISTEN on a connection of its own, so that a finished result is not learned at the next poll."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import psycopg

from nasd.store.connect import DatabaseAway, open_connection

CHANNEL = "nasd_learn"


def listen(url: str, on_notify: Callable[[str], None], stop: Event) -> None:
    """Call `on_notify` with each payload until `stop` is set; reconnects. A missed notification costs one poll."""
    while not stop.is_set():
        try:
            with open_connection(url, purpose="controller listen") as connection:
                connection.execute(f"listen {CHANNEL}")
                on_notify("")  # whatever was missed while nobody listened
                while not stop.is_set():
                    for notification in connection.notifies(timeout=0.5):
                        on_notify(notification.payload)
                        if stop.is_set():
                            break
        except (psycopg.Error, DatabaseAway):
            stop.wait(0.5)
