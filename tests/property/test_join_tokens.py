"""Tokens and credentials of devices: what is written is read again, whatever else comes is refused by one sentence."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasd.domain.joining import Addresses, Credentials, JoinToken
from nasd.errors import UserError

names = st.from_regex(r"[a-z][a-z0-9-]{0,23}", fullmatch=True)
kinds = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
hosts = st.sampled_from(["search.example.org", "192.168.1.2", "[fd00::2]", "vm.local"])
ports = st.integers(1, 65535)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60)


@st.composite
def addresses(draw) -> Addresses:
    host, port, role = draw(hosts), draw(ports), draw(names)
    return Addresses(
        database=f"postgresql://nasd_device_{role}@{host}:{port}/nasd?sslmode=verify-full",
        redis=f"rediss://nasd_device_{role}@{host}:{port}/0",
        artifacts=draw(st.sampled_from([None, f"https://{host}:{port}"])),
        ca=draw(st.none() | st.text(st.characters(codec="ascii"), max_size=800)),
    )


tokens = st.builds(
    JoinToken, name=names, kind=kinds, secret=texts, expires_at=st.integers(0, 2**40), addresses=addresses()
)
credentials = st.builds(
    Credentials,
    name=names,
    kind=kinds,
    addresses=addresses(),
    database_password=texts,
    redis_password=st.none() | texts,
    artifacts_token=texts,
)
TOKEN = JoinToken(
    "kitchen",
    "pi5",
    "secret",
    1,
    Addresses("postgresql://r@h:1/nasd?sslmode=verify-full", "rediss://r@h:1/0", "https://h:1", "certificate"),
).encode()


def wrapped(value: object) -> str:
    """As a token is, whatever is in it."""
    packed = zlib.compress(json.dumps(value).encode())
    body = hashlib.sha256(packed).digest()[:6] + packed
    return "nasd1-" + base64.urlsafe_b64encode(body).decode().rstrip("=")


def read_or_refused(text: str) -> JoinToken | str:
    """The token, or the sentence."""
    try:
        return JoinToken.decode(text)
    except UserError as error:
        return str(error)


@given(tokens, st.data())
def test_a_token_is_read_as_it_was_written(token: JoinToken, data: st.DataObject) -> None:
    """Also where a terminal or a letter broke its line; and nothing in it means anything to a shell."""
    text = token.encode()
    at = data.draw(st.integers(0, len(text)))

    assert JoinToken.decode(f" {text[:at]}\n  {text[at:]}\t") == token
    assert text.replace("-", "").replace("_", "").isalnum()
    assert "secret=" not in repr(token)


@given(st.text(max_size=300) | st.text("nasd1-_AZaz09", max_size=60).map("nasd1-".__add__))
def test_what_is_no_token_is_refused_by_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^this (is no token|token)"):
        JoinToken.decode(text)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("abcXYZ019-_"))
def test_a_mistyped_or_cut_token_is_told_from_a_used_one(at: int, character: str) -> None:
    """The remedy differs: copy it again, or have another made."""
    for damaged in (TOKEN[:at], TOKEN[:at] + character + TOKEN[at + 1 :]):
        if damaged != TOKEN:
            found = read_or_refused(damaged)
            assert "opy all of" in found if isinstance(found, str) else found == JoinToken.decode(TOKEN)  # spare bits


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
    max_leaves=12,
)
FIELDS = {
    "name": "kitchen",
    "kind": "pi5",
    "secret": "s",
    "expires_at": 1,
    "addresses": {"database": "postgresql://r@h:1/n", "redis": "rediss://r@h:1/0", "artifacts": None, "ca": None},
}


@given(st.sampled_from([*FIELDS, "more"]), json_values)
def test_a_token_of_another_form_is_refused_whatever_it_holds(key: str, value: object) -> None:
    """A device must not crash, or connect in the clear, because of what somebody wrote into a token."""
    found = read_or_refused(wrapped({**FIELDS, key: value}))

    if isinstance(found, str):
        assert "can't be read here" in found
    else:
        assert urlsplit(found.addresses.database).scheme == "postgresql"
        assert urlsplit(found.addresses.redis).scheme == "rediss"


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("redis", "redis://r@h:1/0"),
        ("redis", "unix:///run/redis.sock"),
        ("artifacts", "http://h:1"),
        ("database", "postgresql:///nasd"),
        ("database", "postgresql://r:password@h:1/n"),
        ("database", "postgresql://r@h:99999/n"),
    ],
)
def test_addresses_are_encrypted_ones_of_other_machines(key: str, url: str) -> None:
    with pytest.raises(UserError, match="can't be read here"):
        JoinToken.decode(wrapped({**FIELDS, "addresses": {**FIELDS["addresses"], key: url}}))


def test_a_small_token_can_not_become_a_large_one() -> None:
    packed = zlib.compress(b" " * 50_000_000)
    body = hashlib.sha256(packed).digest()[:6] + packed

    with pytest.raises(UserError, match="too long"):
        JoinToken.decode("nasd1-" + base64.urlsafe_b64encode(body).decode())


@given(credentials)
def test_credentials_are_read_as_they_were_kept(kept: Credentials) -> None:
    assert Credentials.from_json(kept.to_json()) == kept


@given(json_values)
def test_a_file_of_something_else_is_no_credentials(value: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Credentials.from_json(json.dumps(value))


@given(credentials)
def test_urls_carry_the_password_whatever_is_in_it(kept: Credentials) -> None:
    """A password with `@` or `/` must not change whom a device talks to."""
    database = urlsplit(kept.database_url(Path("/a b/ca.pem")))

    assert unquote(database.password or "") == kept.database_password
    assert database.hostname == urlsplit(kept.addresses.database).hostname
    assert parse_qs(database.query) == {"sslmode": ["verify-full"], "sslrootcert": ["/a b/ca.pem"]}
    redis = kept.redis_url(Path("/ca.pem"))
    assert (redis is None) == (kept.redis_password is None)
    assert redis is None or unquote(urlsplit(redis).password or "") == kept.redis_password
