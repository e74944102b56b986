"""The home's own certificate authority and the servers' certificate. Imported by who listens on a network alone.

secrets/ca.key   signs; never leaves the home          secrets/ca.pem   what devices are given to check with
etc/tls.pem      key and certificate of the terminator, which may read nothing else of ours
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from nasd.services.home import Home, server_account, write_for_server

# Boards without a clock of their own start decades in the past: a certificate that begins today would shut them out.
_BEGINS = datetime(1971, 1, 1, tzinfo=UTC)
_LIFE = timedelta(days=365 * 90)
_AUTHORITY = "nasd home"


def issue(home: Home, names: Iterable[str]) -> None:
    """Make a server certificate for these host names and addresses in the place of the last one."""
    secrets = home / "secrets"
    if not (secrets / "ca.pem").exists():
        _make_authority(home)
    signer = x509.load_pem_x509_certificate((secrets / "ca.pem").read_bytes())
    signing = serialization.load_pem_private_key((secrets / "ca.key").read_bytes(), password=None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _draft(key, subject="nasd services", issuer=signer.subject)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    text = _key_text(key) + certificate.public_bytes(serialization.Encoding.PEM).decode()
    write_for_server(home / "etc" / "tls.pem", text, server_account())


def _make_authority(home: Home) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _AUTHORITY)])
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "crl_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    certificate = (
        _draft(key, subject=_AUTHORITY, issuer=subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, **usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_secret(home, "ca.key", _key_text(key))
    _write_secret(home, "ca.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())


def _draft(key: ec.EllipticCurvePrivateKey, *, subject: str, issuer: x509.Name) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINS)
        .not_valid_after(_BEGINS + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _write_secret(home: Home, name: str, text: str) -> None:
    temporary = home / "secrets" / f".{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(home / "secrets" / name)
