"""`pymailctl acl` and `pymailctl quota`, with a server that obeys what they set."""

from __future__ import annotations

import imaplib

import pytest

from tests.admin.conftest import Programs
from tests.admin.test_running import port, running

__all__ = ["running"]

MESSAGE = b"Subject: x\r\n\r\n" + b"y" * 3000 + b"\r\n"


@pytest.fixture
def two(programs: Programs) -> Programs:
    """There is a second user, and a place for shared mailboxes."""
    programs("pymailctl", "user", "add", "other", "--stdin", data=b"secret\n")
    with programs.config.open("a") as file:
        file.write("\n")
    text = programs.config.read_text()
    shared = 'shared_directory = "mail/shared"'
    assert "\n[mail]\n" in text or "#[mail]" in text
    programs.config.write_text(text.replace("[mail]\n", f"[mail]\n{shared}\n", 1))
    return programs


def client(programs: Programs, user: str, password: str) -> imaplib.IMAP4:
    connected = imaplib.IMAP4("127.0.0.1", port(programs, "imap"))
    connected.login(user, password)
    return connected


def test_lists_are_shown_and_changed(two: Programs) -> None:
    every = "lrswipkxtecda"
    assert two.json("pymailctl", "acl", "get", "demo", "INBOX") == {"demo": every}
    assert two.json("pymailctl", "acl", "set", "demo", "INBOX", "other", "lr") == {
        "demo": every,
        "other": "lr",
    }
    two("pymailctl", "acl", "set", "demo", "INBOX", "other", "+s")
    assert "other       lrs" in two("pymailctl", "acl", "get", "demo", "INBOX")
    assert "other" not in two.json("pymailctl", "acl", "delete", "demo", "INBOX", "other")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("acl", "set", "demo", "INBOX", "other", "lq"), 64),
        (("acl", "set", "demo", "INBOX", "o/ther", "l"), 64),
        (("acl", "get", "demo", "Nothing"), 66),
        (("acl", "get", "nobody.here", "INBOX"), 67),
        (("acl", "get", "#shared", "INBOX"), 67),
        (("quota", "set", "demo", "lots"), 64),
        (("quota", "set", "demo", "frobs=3"), 64),
        (("quota", "show", "nobody.here"), 67),
    ],
)
def test_what_cannot_be_is_refused(programs: Programs, words: tuple[str, ...], code: int) -> None:
    assert programs.fails("pymailctl", *words)[0] == code


def test_the_index_is_made_anew(two: Programs) -> None:
    two("pymailctl", "acl", "set", "demo", "INBOX", "other", "lr")
    two("pymailctl", "acl", "set", "demo", "INBOX", "anyone", "l")
    grants = two.base / "instance" / "mail" / ".pymaild-grants"
    entry = grants / "other" / "demo"
    assert entry.exists()
    entry.unlink()
    assert two.json("pymailctl", "acl", "rebuild") == {"demo": ["anyone", "other"]}
    assert entry.exists()


def test_quotas_are_set_and_counted(programs: Programs) -> None:
    shown = programs.json("pymailctl", "quota", "show", "demo")
    assert shown["root"] == "#user/demo"
    assert shown["limits"] == {}
    assert shown["usage"]["MESSAGE"] > 0
    limits = programs.json("pymailctl", "quota", "set", "demo", "storage=2G:messages=5000")[
        "limits"
    ]
    assert limits == {"STORAGE": 2 << 20, "MESSAGE": 5000}
    assert "2.0GiB" in programs("pymailctl", "quota", "recalculate", "demo")
    assert programs.json("pymailctl", "quota", "set", "demo", "none")["limits"] == {}
    assert programs.json("pymailctl", "quota", "set", "demo", "default")["limits"] == {}


def test_a_server_obeys(two: Programs, running: Programs) -> None:
    two("pymailctl", "mailbox", "create", "#shared", "General")
    two("pymailctl", "acl", "set", "#shared", "General", "anyone", "lrip")
    two("pymailctl", "acl", "set", "demo", "INBOX", "other", "lr")
    two("pymailctl", "quota", "set", "other", "4K")
    other = client(running, "other", "secret")
    assert other.namespace()[1] == [b'(("" "/")) (("Users/" "/")) (("Shared/" "/"))']
    names = b" ".join(line for line in other.list()[1] if isinstance(line, bytes))
    assert b'"Users/demo"' in names
    assert b'"Shared/General"' in names
    assert other.select("Users/demo", readonly=True)[0] == "OK"
    assert other.append("Shared/General", None, None, MESSAGE)[0] == "OK"
    assert other.append("INBOX", None, None, MESSAGE)[0] == "OK"
    kind, (text,) = other.append("INBOX", None, None, MESSAGE)
    assert (kind, text[:11]) == ("NO", b"[OVERQUOTA]")
    assert other.getquotaroot("INBOX")[1][1] == [b'"#user/other" (STORAGE 3 4)']
    other.logout()
