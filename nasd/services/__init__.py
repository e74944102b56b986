"""The embedded Postgres and Valkey: started on demand, shared by every command, gone with the last of them.

Owns processes, sockets, passwords and the home folder. Knows nothing of schemas, studies or queues.

    with attach(default_home(study.parent)) as services:
        psycopg.connect(services.database_url("worker"))

One detached *owner* process holds both servers as its children. A *client* holds a shared lock for as long as it needs
them; the owner leaves when it can take that lock for itself. See docs/services.md.
"""

from nasd.services.binaries import locate as locate_binaries
from nasd.services.client import DatabaseRole, RedisRole, Services, attach
from nasd.services.control import ServicesStatus, be_called, down, status, stop_listening, up
from nasd.services.home import default_home
from nasd.services.listening import Listening, authority_of, listening_of, publish_artifacts, withdraw_artifacts
from nasd.services.postgres import DATABASE

__all__ = [
    "DATABASE",
    "DatabaseRole",
    "Listening",
    "RedisRole",
    "Services",
    "ServicesStatus",
    "attach",
    "authority_of",
    "be_called",
    "default_home",
    "down",
    "listening_of",
    "locate_binaries",
    "publish_artifacts",
    "status",
    "stop_listening",
    "up",
    "withdraw_artifacts",
]
