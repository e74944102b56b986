"""A device that was added: how it joins with its token, where it keeps what it needs, how a worker starts from that.

device.json            0600: names, addresses, passwords
device-ca-HASH.pem     what the servers' certificates are checked with
device.json.joining    what this device chose, while it joins
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from nasd.config import Settings, config_folder, state_folder
from nasd.domain.ids import DeviceKind
from nasd.domain.joining import Credentials, JoinToken
from nasd.errors import SettingsError, UserError

FILE = "device.json"


@dataclass(frozen=True, slots=True)
class Joined:
    """Credentials and the file that they come from."""

    credentials: Credentials
    file: Path

    @property
    def kind(self) -> DeviceKind:
        return DeviceKind(self.credentials.kind)

    def kind_unless(self, given: str | None) -> DeviceKind:
        """The device's kind, which nobody may contradict.

        Raises:
            UserError: `given` does.
        """
        if given is not None and given != self.kind:
            raise UserError(
                f"--device-kind {given}: this machine was added as a {self.kind} ({self.file}). Leave the option out,"
                f" or have it added as a {given}"
            )
        return self.kind

    @property
    def database_url(self) -> str:
        return self.credentials.database_url(_ca_file(self.file, self.credentials))

    @property
    def redis_url(self) -> str | None:
        return self.credentials.redis_url(_ca_file(self.file, self.credentials))

    def settings(self, settings: Settings) -> Settings:
        """The same with this device's folder and, where the environment names no other, its artifact store."""
        found: dict[str, object] = {"home": settings.home or state_folder()}
        if settings.artifacts_url is None and self.credentials.addresses.artifacts is not None:
            found["artifacts_url"] = self.credentials.addresses.artifacts
            found["artifacts_token"] = self.credentials.artifacts_token
            found["artifacts_ca"] = _ca_file(self.file, self.credentials)
        return settings.model_copy(update=found)


def credentials_file(settings: Settings, given: Path | None = None) -> Path:
    """Where this device's credentials lie: as given, in NASD_HOME, or in the user's folder for settings."""
    if given is not None:
        return given.absolute()
    return ((settings.home or config_folder()) / FILE).absolute()


def load(file: Path) -> Joined | None:
    """What was kept there; None where nothing is.

    Raises:
        SettingsError: it can't be read or is something else.
    """
    try:
        return Joined(Credentials.from_json(file.read_text()), file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{file}: is no device's credentials: remove it and join with a new token") from error


def joined(settings: Settings, file: Path) -> Joined | None:
    """The device that this machine is, joining with NASD_JOIN where it has not yet; None: it is none.

    Raises:
        UserError: the token can't be used; see `join`.
    """
    if settings.join is not None:
        return join(settings.join.get_secret_value(), file)
    return load(file)


def join(text: str, file: Path) -> Joined:
    """Join with a token, or go on with what an earlier joining by it has brought: a container starts many times.

    Raises:
        UserError: the token can't be used, the file can't be written, or the machine is another device already.
    """
    from nasd.store.joining import join as present

    token = JoinToken.decode(text)
    draft, kept = _draft(token), load(file)
    if kept is not None:
        if kept.credentials.role == draft.role:
            return kept
        if kept.credentials.name != token.name:
            raise UserError(
                f"{file} says that this machine is device {kept.credentials.name}, and the token is for {token.name}:"
                " remove that file first, or choose another folder with NASD_HOME"
            )
    begun = file.with_name(f"{file.name}.joining")
    earlier = load(begun)
    if earlier is not None and earlier.credentials.role == draft.role:
        draft = earlier.credentials
    _keep(begun, draft)
    ca = _ca_file(file, draft)
    joined = present(draft, token.secret, ca=ca, keep=lambda found: _keep(file, found))
    begun.unlink(missing_ok=True)
    return Joined(joined, file)


def _draft(token: JoinToken) -> Credentials:
    return Credentials(
        name=token.name,
        kind=token.kind,
        addresses=token.addresses,
        database_password=secrets.token_urlsafe(24),
        redis_password=None,
        artifacts_token=secrets.token_urlsafe(32),
    )


def _ca_file(file: Path, credentials: Credentials) -> Path | None:
    ca = credentials.addresses.ca
    return None if ca is None else file.with_name(f"device-ca-{hashlib.sha256(ca.encode()).hexdigest()[:8]}.pem")


def _keep(file: Path, credentials: Credentials) -> None:
    """Write both files whole, for their owner alone, and make them last."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = _ca_file(file, credentials)
        if ca is not None:
            _write(ca, str(credentials.addresses.ca))
        _write(file, credentials.to_json())
    except OSError as error:
        raise SettingsError(
            f"{file}: can't be written: {error.strerror}. Choose another folder with NASD_HOME"
        ) from error


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
