"""The artifact endpoint against clients that are wrong, slow, hostile or unlucky: real sockets."""

import hashlib
import os
import socket

import pytest

from nasd.artifacts import open_archive, open_store
from nasd.artifacts.endpoint import ArtifactEndpoint, by_digests
from nasd.errors import ArtifactCorrupt, ArtifactMissing, ArtifactsAway, ArtifactsFull

TOKEN = "3f0c-device"
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def scene(tmp_path):
    """(endpoint, the archive behind it); only TOKEN gets in, 100 kB at most."""
    archive = open_archive(None, tmp_path / "home")
    known = {hashlib.sha256(TOKEN.encode()).hexdigest()}
    endpoint = ArtifactEndpoint(archive, by_digests(lambda: known), max_bytes=100_000)
    yield endpoint, archive
    endpoint.close()


def ask(port, head, body=b"", *, close=True):
    """The whole answer to a raw request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def put(sha256, n_bytes, token=TOKEN):
    return f"PUT /artifacts/{sha256} HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\nContent-Length: {n_bytes}"


def names(archive):
    return [one.sha256 for one in archive.stored()]


@pytest.mark.parametrize("authorisation", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x"])
def test_nobody_reads_or_writes_without_a_token(scene, authorisation):
    """Weights may be the user's secret, and the disk is the controller's."""
    endpoint, archive = scene
    header = f"\nAuthorization: {authorisation}" if authorisation else ""
    for method in ("GET", "HEAD", "PUT"):
        answer = ask(
            endpoint.port, f"{method} /artifacts/{SHA256} HTTP/1.1\nHost: x\nContent-Length: 7{header}", b"weights"
        )
        assert answer.startswith("HTTP/1.1 401 "), answer
    assert names(archive) == []


@pytest.mark.parametrize(
    "path",
    ["/", "/artifacts", "/artifacts/", "/artifacts/../secrets", f"/artifacts/{SHA256}/..",
     f"/artifacts/{SHA256.upper()}", f"/artifacts/{SHA256}?x", "/artifacts/%2e%2e%2fsecrets", f"/metrics/{SHA256}"],
)  # fmt: skip
def test_no_path_leads_anywhere_else(scene, path, tmp_path):
    endpoint, archive = scene
    (tmp_path / "f").write_bytes(CONTENT)
    archive.put(tmp_path / "f")
    answer = ask(endpoint.port, f"GET {path} HTTP/1.1\nHost: x\nAuthorization: Bearer {TOKEN}")
    assert answer.startswith("HTTP/1.1 404 "), answer


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_else_can_be_done(scene, method):
    endpoint, _ = scene
    answer = ask(endpoint.port, f"{method} /artifacts/{SHA256} HTTP/1.1\nHost: x\nAuthorization: Bearer {TOKEN}")
    assert " 501 " in answer.splitlines()[0]


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (put(SHA256, len(CONTENT)), CONTENT[:-1], 400),
        (put(SHA256, len(CONTENT)), CONTENT[:-1] + b"X", 422),
        (put("0" * 64, len(CONTENT)), CONTENT, 422),
        (put(SHA256, 100_001), b"x" * 1000, 413),
        (put(SHA256, 10**18), b"x" * 1000, 413),
        (put(SHA256, -1), b"", 411),
        (put(SHA256, "7_0"), b"", 411),
        (put(SHA256, "٣"), b"", 411),
        (put(SHA256, 7).replace("Content-Length: 7", "Transfer-Encoding: chunked"), b"0\r\n\r\n", 411),
        (put(SHA256, 7) + "\nTransfer-Encoding: chunked", b"0\r\n\r\n", 411),
    ],
)
def test_what_is_cut_short_wrong_or_too_big_is_refused_and_leaves_nothing(scene, head, body, status):
    """What lies in the store is exactly what its name says, or is not there."""
    endpoint, archive = scene
    answer = ask(endpoint.port, head, body)
    assert answer.startswith(f"HTTP/1.1 {status} "), answer
    assert names(archive) == []


def test_a_damaged_file_is_not_sent(scene, tmp_path):
    """The endpoint verifies before the first byte leaves, so that a board need not fetch it to find out."""
    endpoint, archive = scene
    (tmp_path / "f").write_bytes(CONTENT)
    archive.put(tmp_path / "f")
    (tmp_path / "home" / "artifacts" / SHA256[:2] / SHA256).write_bytes(b"other")
    client = open_store(f"http://127.0.0.1:{endpoint.port}", tmp_path, TOKEN)

    with pytest.raises(ArtifactCorrupt):
        client.get(SHA256, tmp_path / "back")


def test_a_device_whose_token_is_withdrawn_is_out_at_once(tmp_path):
    """Tokens are looked up for each request, not once for a connection."""
    known = {hashlib.sha256(TOKEN.encode()).hexdigest()}
    archive = open_archive(None, tmp_path / "home")
    endpoint = ArtifactEndpoint(archive, by_digests(lambda: known))
    client = open_store(f"http://127.0.0.1:{endpoint.port}", tmp_path, TOKEN)
    (tmp_path / "f").write_bytes(CONTENT)
    client.put(tmp_path / "f")

    known.clear()

    with pytest.raises(ArtifactsAway, match="401"):
        client.get(SHA256, tmp_path / "back")
    with pytest.raises(ArtifactsAway, match="401"):
        client.put(tmp_path / "f")
    endpoint.close()


def test_a_client_hears_why_its_big_file_was_refused(scene, tmp_path):
    """It is still sending when the answer comes; the sentence must reach it all the same."""
    endpoint, _ = scene
    (tmp_path / "big").write_bytes(os.urandom(8 << 20))
    client = open_store(f"http://127.0.0.1:{endpoint.port}", tmp_path, TOKEN)
    with pytest.raises(ArtifactsFull, match="100000 bytes at most"):
        client.put(tmp_path / "big")


def test_an_endpoint_that_is_not_there_is_away(tmp_path):
    """A board waits for its controller to come back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = open_store(f"http://127.0.0.1:{port}", tmp_path, TOKEN)
    (tmp_path / "f").write_bytes(CONTENT)
    with pytest.raises(ArtifactsAway, match="Connection refused"):
        client.put(tmp_path / "f")
    with pytest.raises(ArtifactsAway, match="Connection refused"):
        client.get(SHA256, tmp_path / "back")


def test_an_answer_that_breaks_off_is_not_taken_for_a_file(tmp_path):
    """A connection that dies in the middle leaves the old file, or none."""
    server = socket.create_server(("127.0.0.1", 0))
    client = open_store(f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path, TOKEN)

    def half_an_answer():
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[:100])
        connection.close()

    import threading

    thread = threading.Thread(target=half_an_answer)
    thread.start()
    with pytest.raises((ArtifactsAway, ArtifactCorrupt)):
        client.get(SHA256, tmp_path / "back")
    thread.join()
    server.close()
    assert not (tmp_path / "back").exists()


def test_a_missing_artifact_is_missing_through_the_endpoint(scene, tmp_path):
    endpoint, _ = scene
    client = open_store(f"http://127.0.0.1:{endpoint.port}", tmp_path, TOKEN)
    with pytest.raises(ArtifactMissing):
        client.get(SHA256, tmp_path / "back")
