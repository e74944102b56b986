"""Artifacts by content hash: a folder, any fsspec URL, or the controller's endpoint. No torch, no database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nasd.artifacts.client import HttpStore
from nasd.artifacts.directory import DirectoryStore
from nasd.artifacts.remote import FsspecStore
from nasd.errors import SettingsError
from nasd.ports.artifacts import ArtifactArchive, ArtifactStore

__all__ = ["open_archive", "open_store"]

QUOTA_BYTES = 4096 << 20


def open_store(
    url: str | None, home: Path, token: str | None = None, *, ca: Path | None = None, quota_bytes: int = QUOTA_BYTES
) -> ArtifactStore:
    """What `NASD_ARTIFACTS_URL` says; nothing is made or asked for yet.

    Args:
        url: `file://`, `http(s)://` or any fsspec URL; None: the folder `artifacts` of `home`.
        home: of this process.
        token: for `http(s)://`.
        ca: the certificate that signed an `https://` store's; None: the system's.
        quota_bytes: of all artifacts together; an endpoint has its own.

    Raises:
        SettingsError: no such address.
    """
    if url is not None and url.startswith(("http://", "https://")):
        return HttpStore(url, token=token, ca=ca)
    return open_archive(url, home, quota_bytes=quota_bytes)


def open_archive(url: str | None, home: Path, *, quota_bytes: int = QUOTA_BYTES) -> ArtifactArchive:
    """The same for the controller's side, which keeps order in it.

    Raises:
        SettingsError: no such address, or one that only serves workers.
    """
    if url is None:
        return DirectoryStore(home.absolute() / "artifacts", quota_bytes=quota_bytes)
    scheme, found, _ = url.partition("://")
    if not found or scheme in ("http", "https"):
        raise SettingsError(
            f"NASD_ARTIFACTS_URL: {'begins with ' + scheme if found else 'is no URL'}; the controller's side needs "
            "file:///FOLDER or a URL that fsspec opens, such as s3://BUCKET/FOLDER"
        )
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise SettingsError(f"NASD_ARTIFACTS_URL = {url}: must be file:///FOLDER, an absolute path of this machine")
        return DirectoryStore(Path(unquote(parts.path)), quota_bytes=quota_bytes)
    return FsspecStore(url, quota_bytes=quota_bytes)
