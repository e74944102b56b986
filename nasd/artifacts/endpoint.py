"""The controller's own HTTP endpoint in front of an artifact store: `GET`, `HEAD` and `PUT /artifacts/SHA256`.

Plain HTTP on this machine alone: whoever lets others in puts TLS in front of it. Nothing can be listed or removed
through it, and who may ask is decided by `authorise`, for every request anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer
from typing import BinaryIO, cast

from nasd.artifacts.hashing import chunks, is_name
from nasd.errors import ArtifactCorrupt, ArtifactMissing, ArtifactsFull, NasdError, SettingsError
from nasd.ports.artifacts import ArtifactStore

logger = logging.getLogger(__name__)

LOCALHOST = "127.0.0.1"
MAX_BYTES = 1 << 30  # of one artifact
_TIMEOUT_S = 30.0  # of one read or write
_LINGER_S, _LINGER_BYTES = 2.0, 64 << 20
_MOST_AT_ONCE = 16
_POLL_S = 0.05  # how long closing takes at most
_PREFIX = "/artifacts/"

Authorise = Callable[[str], bool]


def by_digests(digests: Callable[[], Collection[str]]) -> Authorise:
    """Lets in whose token's SHA-256 (lower-case hexadecimal) is among `digests()`, asked anew each time.

    How long it takes tells nothing about how much of a token was right.
    """

    def authorise(token: str) -> bool:
        found = hashlib.sha256(token.encode()).hexdigest()
        return sum(hmac.compare_digest(found, known) for known in digests()) > 0  # a sum: all are compared

    return authorise


class ArtifactEndpoint:
    """Serves one store; threads of its own until `close`."""

    def __init__(
        self,
        store: ArtifactStore,
        authorise: Authorise,
        *,
        host: str = LOCALHOST,
        port: int = 0,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Start serving.

        Args:
            store: what is served.
            authorise: whether the bearer of a token may read and write.
            host: to listen on.
            port: 0 takes any free one; `port` says which.
            max_bytes: of one artifact.

        Raises:
            SettingsError: the address can't be had.
        """
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise SettingsError(
                f"the artifact endpoint can't listen on {host}:{port}: {error.strerror}; choose another port, or 0"
            ) from error
        self._server.store, self._server.authorise, self._server.max_bytes = store, authorise, max_bytes
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="artifacts", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Take no more requests; those that run are ended with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    store: ArtifactStore
    authorise: Authorise
    max_bytes: int

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.free = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the library's signature
        logger.debug("artifact request broken off", extra={"fields": {"error": repr(sys.exception())}})


class _Refused(Exception):
    """A request is answered with a status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nasd"
    sys_version = ""
    timeout = _TIMEOUT_S  # a client that goes silent holds a thread no longer
    server: BaseServer

    def do_GET(self) -> None:
        self._answer(lambda sha256: self._get(sha256, with_body=True))

    def do_HEAD(self) -> None:
        self._answer(lambda sha256: self._get(sha256, with_body=False))

    def do_PUT(self) -> None:
        self._answer(self._put)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        logger.debug("artifact request", extra={"fields": {"line": format % arguments}})

    @property
    def _ours(self) -> _Server:
        return cast("_Server", self.server)

    def _answer(self, carry_out: Callable[[str], None]) -> None:
        """Check who asks for what, then do it; a refusal ends the connection, since its body may not be read."""
        try:
            self._require_token()
            with self._turn():
                carry_out(self._asked_for())
        except _Refused as refused:
            self._say(refused.status, str(refused))
        except ArtifactMissing:
            self._say(HTTPStatus.NOT_FOUND, "no such artifact")
        except ArtifactsFull as error:
            self._say(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        except ArtifactCorrupt as error:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except NasdError as error:
            logger.warning("artifact request failed", extra={"fields": {"error": str(error)}})
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "the artifact store is away")

    def _require_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._ours.authorise(token.strip()):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "a valid token is needed")

    def _asked_for(self) -> str:
        sha256 = self.path.removeprefix(_PREFIX)
        if not self.path.startswith(_PREFIX) or not is_name(sha256):
            raise _Refused(HTTPStatus.NOT_FOUND, "no such artifact")
        return sha256

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One of a few within: each may fill a temporary file."""
        if not self._ours.free.acquire(timeout=_TIMEOUT_S):
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again")
        try:
            yield
        finally:
            self._ours.free.release()

    def _get(self, sha256: str, *, with_body: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="nasd-artifact-") as folder:
            path = Path(folder) / sha256
            self._ours.store.get(sha256, path)  # a copy: what is sent was verified, whatever becomes of the store's
            with path.open("rb") as file:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                for chunk in chunks(file) if with_body else ():
                    self.wfile.write(chunk)

    def _put(self, sha256: str) -> None:
        n_bytes = self._length()
        with tempfile.TemporaryDirectory(prefix="nasd-artifact-") as folder:
            path = Path(folder) / sha256
            self._receive(path, sha256, n_bytes)
            self._ours.store.put(path)
        self._say(HTTPStatus.CREATED, "stored", close=False)

    def _length(self) -> int:
        given = self.headers.get("Content-Length", "")
        if not (given.isascii() and given.isdigit()) or self.headers.get("Transfer-Encoding"):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed")
        most = self._ours.max_bytes
        if len(given) > 15 or int(given) > most:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an artifact has {most} bytes at most")
        return int(given)

    def _receive(self, path: Path, sha256: str, n_bytes: int) -> None:
        digest, n_received = hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in chunks(cast("BinaryIO", self.rfile), n_bytes):
                digest.update(chunk)
                n_received += len(chunk)
                file.write(chunk)
        if n_received != n_bytes:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"{n_received} of {n_bytes} bytes came")
        if digest.hexdigest() != sha256:
            raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"the content hashes to {digest.hexdigest()[:12]}")

    def _say(self, status: HTTPStatus, sentence: str, *, close: bool = True) -> None:
        body = f"{sentence}\n".encode()
        with contextlib.suppress(OSError):  # who asked may have gone
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            if close:
                self.send_header("Connection", "close")
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if close and self.command == "PUT":
                self._linger()

    def _linger(self) -> None:
        """Let who is still sending read the refusal: closed at once, its kernel might throw the answer away."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER_S)
        for _ in chunks(cast("BinaryIO", self.rfile), _LINGER_BYTES):
            pass
