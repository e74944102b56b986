"""Where the pair of a home is to be reached from other machines: home/listen.json, obeyed by the owner.

It stays when the pair ends: devices were told this address, and the next start must serve it again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from nasd.errors import UserError
from nasd.services.home import Home

DEFAULT_PORT = 7432
_FILE = "listen.json"
_ARTIFACTS = "artifacts.served"  # a folder: a file for each endpoint, named by its port


@dataclass(frozen=True, slots=True)
class Listening:
    """One address for Postgres, Redis and artifacts alike.

    Attributes:
        host: to listen on; `0.0.0.0` or `::` are all of this machine's.
        names: that the certificate is for: how devices may call this machine. The first is what they are told.
    """

    host: str
    port: int
    names: tuple[str, ...]

    @property
    def is_everywhere(self) -> bool:
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def parse(text: str) -> tuple[str, int]:
    """`ADDRESS` or `ADDRESS:PORT`, IPv6 in brackets.

    Raises:
        UserError: it is neither.
    """
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UserError(
            f"--listen {text}: must be an address of this machine, with a port or without: 192.168.1.2:7432"
        )
    return host, int(port)


def arranged(text: str, names: tuple[str, ...], before: Listening | None) -> Listening:
    """What `--listen` asks for: the port settled, and every name under which this machine may be known.

    Args:
        text: `ADDRESS[:PORT]`; port 0: any free one.
        names: the names that devices shall use, first of all.
        before: what is arranged already, and perhaps listens.

    Raises:
        UserError: nothing can listen there.
    """
    host, port = parse(text)
    if before is None or (host, port) != (before.host, before.port):
        try:
            with open_socket(host, port) as found:
                port = int(found.getsockname()[1])
        except OSError as error:
            raise UserError(
                f"--listen {text}: can't listen there: {error.strerror or error}. Give an address of this machine"
                " (0.0.0.0: all of them) and a free port"
            ) from error
    for name in names:
        if not (_is_address(name) or _is_dns(name)):
            raise UserError(f"--name {name}: is neither a host name nor an address")
    own = names or _own_names(host)
    return Listening(host, port, tuple(dict.fromkeys((*own, *_own_names(host), "localhost", "127.0.0.1", "::1"))))


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    return socket.create_server(
        (host, port), family=family, backlog=128, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
    )


def read(home: Home) -> Listening | None:
    """What was arranged; None where nobody asked to be reached.

    Raises:
        UserError: somebody has written something else into the file.
    """
    try:
        value = json.loads((home / _FILE).read_text())
        return Listening(str(value["host"]), int(value["port"]), tuple(map(str, value["names"])))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{home / _FILE} can't be read: remove it and say `nasd services up --listen ADDRESS`"
        ) from error


def listening_of(home: Path) -> Listening | None:
    """The same of a home's folder."""
    return read(Home.at(home))


def authority_of(home: Path) -> str:
    """The certificate in PEM that devices check this home's servers with; there once it listens."""
    return (Home.at(home) / "secrets" / "ca.pem").read_text()


def write(home: Home, listening: Listening | None) -> None:
    """Arrange it, or end it."""
    if listening is None:
        (home / _FILE).unlink(missing_ok=True)
        return
    _replace(home / _FILE, json.dumps(asdict(listening)), 0o600)


def publish_artifacts(home: Path, port: int) -> None:
    """Say where on this machine an artifacts endpoint listens, so that devices reach it too.

    Several may be published: a controller that stands by serves the same artifacts, and goes on when the other leaves.
    """
    folder = Home.at(home) / _ARTIFACTS
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # the terminator reads it as the servers' user
    for path in folder.iterdir():
        if path.name.isdigit() and not _answers(int(path.name)):
            path.unlink(missing_ok=True)  # of a controller that was killed
    _replace(folder / str(port), "", 0o644)


def withdraw_artifacts(home: Path, port: int) -> None:
    """That endpoint is gone; others stay as they are."""
    (Home.at(home) / _ARTIFACTS / str(port)).unlink(missing_ok=True)


def artifacts_addresses(home: Home) -> list[tuple[str, int]]:
    """Where artifacts are served on this machine, the latest first; a killed controller's may be among them."""
    with contextlib.suppress(FileNotFoundError):
        known = [path for path in (home / _ARTIFACTS).iterdir() if path.name.isdigit()]
        return [("127.0.0.1", int(path.name)) for path in sorted(known, key=_written_at, reverse=True)]
    return []


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def _own_names(host: str) -> tuple[str, ...]:
    """How others may call this machine, the most lasting first."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return (host,)
    import psutil  # type: ignore[import-untyped]  # who only starts the pair needs nothing but Python

    addresses = [
        str(address)
        for interface in psutil.net_if_addrs().values()
        for found in interface
        if found.family in (socket.AF_INET, socket.AF_INET6)
        and not (address := ipaddress.ip_address(found.address.partition("%")[0])).is_link_local
        and not address.is_loopback
    ]
    name = socket.gethostname()
    names = [name, name if "." in name else f"{name}.local"]
    return tuple(dict.fromkeys((*_outward_address(), *addresses, *filter(_is_dns, names))))


def _outward_address() -> tuple[str, ...]:
    """The one that this machine speaks to others with; none without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; nothing is sent
        except OSError:
            return ()
        return (str(probe.getsockname()[0]),)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_dns(name: str) -> bool:
    labels = name.split(".")
    return all(0 < len(label) < 64 and label.replace("-", "").isalnum() and label.isascii() for label in labels)


def _replace(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    temporary.replace(path)
