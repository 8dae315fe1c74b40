"""User names and passwords are prepared the same way everywhere (RFC 8265)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.auth.names import (
    expand,
    prepare_login,
    prepare_name,
    prepare_password,
    split_name,
)
from tests.support.rfc import rfc


@pytest.mark.parametrize(
    ("given_name", "prepared"),
    [
        ("alice", "alice"),
        ("Alice@Example.ORG", "alice@example.org"),
        ("o'brien+lists@example.org", "o'brien+lists@example.org"),
        ("\uff41\uff4c\uff49\uff43\uff45", "alice"),  # RFC 8265 §3.3.2: full width
        ("JU\u0308RGEN", "j\u00fcrgen"),  # lower case, then NFC
        ("\u03c3\u03c5\u03bd\u03b7", "\u03c3\u03c5\u03bd\u03b7"),
        ("a" * 255, "a" * 255),  # RFC 4616 §2: 255 octets must be accepted
    ],
)
def test_valid_names(given_name: str, prepared: str) -> None:
    assert prepare_name(given_name) == prepared


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@",
        "@example.org",
        "alice@",
        ".alice",
        "..",
        "alice@.example.org",
        "alice@../../etc",
        "../bob",
        "al/ice",
        "al:ice",
        "al ice",
        "al\0ice",
        "al\nice",
        "al\x7fice",
        "\u00a0alice",
        "ali\u200bce",  # zero width space
        "\u202ealice",  # right-to-left override
        "\ufb01sh",  # a ligature has a compatible form: RFC 8264 §9.17
        "al\u2044ice",
        "\udc80alice",  # an octet that was no UTF-8
        "a" * 256,
        "\u00fc" * 128,  # 256 octets
    ],
)
def test_invalid_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        prepare_name(name)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_prepared_names_are_stable_and_safe_in_paths(name: str) -> None:
    try:
        prepared = prepare_name(name)
    except ValueError:
        return
    assert prepare_name(prepared) == prepared
    path = expand("/mail/{user}", prepared)
    assert path.count("/") == 2
    assert prepared not in ("", ".", "..")
    assert ":" not in prepared
    assert "\n" not in prepared


@rfc("5802", "5.1", 4)
@rfc("4616", "2", 5)
@rfc("5034", "4", 15)
@rfc("5034", "10", 1)
@pytest.mark.parametrize(
    ("sent", "prepared"),
    [  # RFC 4013 §3, in lower case
        ("I\u00adX", "ix"),
        ("user", "user"),
        ("USER", "user"),
        ("\u00aa", "a"),
        ("\u2168", "ix"),
        ("\uff21lice", "alice"),
        ("J\u00fcrgen", "j\u00fcrgen"),
        ("Ju\u0308rgen", "j\u00fcrgen"),
    ],
)
def test_what_clients_send_is_mapped(sent: str, prepared: str) -> None:
    assert prepare_login(sent) == prepared


@pytest.mark.parametrize(
    "sent", ["", "\u00ad", "\u0007", "a\u00a0b", "\u00ad" * 300, "\ufdfa" * 255]
)
def test_what_clients_send_may_be_no_name(sent: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        prepare_login(sent)


@pytest.mark.parametrize(
    ("password", "forms"),
    [
        (b"secret", (b"secret",)),
        (b" a b ", (b" a b ",)),
        ("u\u0308".encode(), ("\u00fc".encode(), "u\u0308".encode())),  # NFC, then as sent
        ("a\u3000b".encode(), (b"a b", "a\u3000b".encode())),  # RFC 8265 §4.2.2: spaces
        (b"p" * 1024, (b"p" * 1024,)),
    ],
)
def test_passwords(password: bytes, forms: tuple[bytes, ...]) -> None:
    assert prepare_password(password) == forms


@pytest.mark.parametrize("password", [b"", b"a\0b", b"\xff", b"\xc0\x80", b"p" * 1025])
def test_what_no_password_is(password: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        prepare_password(password)


def test_paths_never_lose_a_part() -> None:
    assert split_name("a@b@c") == ("a@b", "c")
    assert expand("/m/{domain}/{local}", "alice@example.org") == "/m/example.org/alice"
    with pytest.raises(ValueError, match="domain"):
        expand("/m/{domain}/{local}", "alice")  # /m//alice would be the domain "alice"
