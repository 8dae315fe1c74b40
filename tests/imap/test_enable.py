"""ENABLE (RFC 5161 §3.1, RFC 9051 §6.3.1)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

NAMES = ("CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4rev2", "UIDONLY")


def enabled(client: Client, names: str) -> set[str]:
    """What an ENABLE command has switched on."""
    return set(map(str, client.ok(f"ENABLE {names}").one("ENABLED").values[1:]))


@rfc("5161", "3.1", 1, 2, 4)
@rfc("9051", "6.3.1", 1, 2, 4)
@pytest.mark.parametrize("names", ["X-NONE", "IDLE", "MOVE UIDPLUS", "STARTTLS", "IMAP4rev1"])
def test_what_is_not_to_be_enabled_is_passed_over(imap: ImapBench, names: str) -> None:
    client = imap.login()
    assert enabled(client, names) == set()
    assert enabled(client, f"{names} CONDSTORE") == {"CONDSTORE"}


@rfc("5161", "3.1", 3, 7)
@rfc("9051", "6.3.1", 3, 4, 7)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_enabled_stays_so(mail: ImapBench, name: str) -> None:
    """It is told once, by the command that did it, and holds to the end of the session."""
    client = mail.login()
    assert enabled(client, name.lower()) == {name}
    for command in ("SELECT INBOX", "UNSELECT", "SELECT Archive", "CLOSE"):
        client.ok(command)
    assert name in client.record.enabled
    assert enabled(client, "ID IDLE") == set()
    assert name not in enabled(client, " ".join(NAMES))


@rfc("5161", "3.1", 8)
@rfc("9051", "6.3.1", 8)
def test_capabilities_stay_as_they_were(imap: ImapBench) -> None:
    client = imap.login()
    before = client.told(client.ok("CAPABILITY"))
    client.ok(f"ENABLE {' '.join(NAMES)}")
    assert client.told(client.ok("CAPABILITY")) == before


@pytest.mark.parametrize(
    "command", ["ENABLE", "ENABLE ", "ENABLE (CONDSTORE)", 'ENABLE "CONDSTORE"']
)
def test_malformed_enable_is_bad(imap: ImapBench, command: str) -> None:
    imap.login().bad(command)
