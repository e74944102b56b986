"""The controller's artifact endpoint as a store, for machines that see nothing else."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from nasd.artifacts.hashing import chunks, is_name, sha256_of, write_checked
from nasd.errors import ArtifactCorrupt, ArtifactMissing, ArtifactsAway, ArtifactsFull, SettingsError

_TIMEOUT_S = 30.0  # of one read or write
_LONGEST_ANSWER = 2_000  # of a refusal's sentence


class HttpStore:
    """One connection for each file: boards ask seldom, and an idle connection would die behind their router."""

    def __init__(self, url: str, *, token: str | None, ca: Path | None = None) -> None:
        """Nothing is asked for yet.

        Args:
            url: `http(s)://host:port`, with the path in front of `/artifacts` if there is one.
            token: of this device; None: none is sent.
            ca: the certificate that signed the server's; None: the system's.

        Raises:
            SettingsError: the address or the certificate can't be used.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise SettingsError(f"NASD_ARTIFACTS_URL: is no address: {error}. Give https://HOST:PORT") from error
        if host is None or parts.query or parts.username is not None:
            raise SettingsError(
                "NASD_ARTIFACTS_URL: must be https://HOST:PORT alone; a token goes into NASD_ARTIFACTS_TOKEN"
            )
        self._host, self._port, self._base = host, port, parts.path.rstrip("/")
        self._where = f"{parts.scheme}://{parts.netloc}{self._base}"
        self._context = _context(ca) if parts.scheme == "https" else None
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def put(self, path: Path) -> tuple[str, int]:
        try:
            sha256, n_bytes = sha256_of(path)
            with self._connected() as connection, path.open("rb") as file:
                answer = self._sent(connection, "PUT", sha256, file=file, n_bytes=n_bytes)
                self._judge(answer, sha256, wanted=(HTTPStatus.CREATED, HTTPStatus.OK))
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        return sha256, n_bytes

    def get(self, sha256: str, into: Path) -> None:
        if not is_name(sha256):
            raise ArtifactMissing(sha256, self._where)
        try:
            with self._connected() as connection:
                answer = self._sent(connection, "GET", sha256)
                self._judge(answer, sha256, wanted=(HTTPStatus.OK,))
                announced = answer.length
                n_bytes = write_checked(into, sha256, chunks(answer), where=self._where)
                if announced is not None and n_bytes != announced:
                    raise ArtifactCorrupt(sha256, self._where, "it was cut short")
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        connection: http.client.HTTPConnection
        if self._context is not None:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_S, context=self._context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        sha256: str,
        *,
        file: BinaryIO | None = None,
        n_bytes: int = 0,
    ) -> http.client.HTTPResponse:
        length = {} if file is None else {"Content-Length": str(n_bytes)}
        connection.putrequest(method, f"{self._base}/artifacts/{sha256}", skip_accept_encoding=True)
        for name, value in {**self._headers, **length}.items():
            connection.putheader(name, value)
        connection.endheaders()
        if file is not None:
            # a server that refuses answers before it has read everything and hangs up: its answer is still there
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for chunk in chunks(file):
                    connection.send(chunk)
        return connection.getresponse()

    def _judge(self, answer: http.client.HTTPResponse, sha256: str, *, wanted: tuple[HTTPStatus, ...]) -> None:
        if answer.status in wanted:
            return
        said = answer.read(_LONGEST_ANSWER).decode(errors="replace").strip() or answer.reason
        if answer.status == HTTPStatus.NOT_FOUND:
            raise ArtifactMissing(sha256, self._where)
        if answer.status in (HTTPStatus.INSUFFICIENT_STORAGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            raise ArtifactsFull(self._where, said)
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise ArtifactCorrupt(sha256, self._where, said)
        raise ArtifactsAway(self._where, f"{answer.status} {said}")

    def _away(self, error: Exception) -> ArtifactsAway:
        return ArtifactsAway(self._where, f"{type(error).__name__}: {error}")


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"NASD_ARTIFACTS_CA = {ca}: can't be read as a certificate: {error}") from error
