"""UNAUTHENTICATE (RFC 8437): one connection for one user after the other."""

from __future__ import annotations

import base64

from pymaild.core.session import User
from pymaild.imap.states import State
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc


def plain(name: str) -> str:
    return base64.b64encode(f"\0{name}\0secret".encode()).decode()


@rfc("8437", "4.1", 1, 2, 3)
def test_all_but_the_connection_is_forgotten(mail: ImapBench) -> None:
    client = mail.select()
    client.ok('ID ("name" "gateway")')
    client.ok("ENABLE IMAP4rev2 QRESYNC")
    client.ok("SEARCH RETURN (SAVE) ALL")
    client.ok("NOTIFY SET (personal (MailboxName))")
    client.ok("UNAUTHENTICATE")
    record = client.record
    assert (record.state, record.user, record.mailbox) == (State.NOT_AUTHENTICATED, None, "")
    assert (record.enabled, record.snapshot, record.client) == ([], 0, "gateway")
    assert (record.saved, record.notify) == ([], None)
    assert client.bad('LIST "" *').untagged == []
    assert b"IMAP4rev2" in client.ok("CAPABILITY").untagged[0].raw
    client.ok("LOGIN bob secret")
    told = client.told(client.ok("SELECT INBOX"))
    assert "0 RECENT" in told
    assert client.told(client.ok("SEARCH ALL")) == ["SEARCH"]


def test_a_login_can_be_pipelined_behind_it(mail: ImapBench) -> None:
    client = mail.select()
    answers = client.pipeline(
        ["UNAUTHENTICATE", f"AUTHENTICATE PLAIN {plain('bob')}", "SELECT INBOX"]
    )
    assert [answer.status for answer in answers] == ["OK"] * 3
    assert "0 EXISTS" in client.told(answers[2])
    assert client.record.user is not None
    assert client.record.user.name == "bob"


def test_expunges_are_not_told_by_it(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    assert client.ok("UNAUTHENTICATE").untagged == []


def test_a_process_that_became_its_user_stays_that_user(imap: ImapBench) -> None:
    user = User(name="alice", mail=imap.account("alice").root, system=True)
    client = imap.connect(imap.record(user=user, state=State.AUTHENTICATED, greeted=True))
    assert b"UNAUTHENTICATE" not in client.ok("CAPABILITY").untagged[0].raw
    client.bad("UNAUTHENTICATE")
    client.ok("NOOP")


def test_too_many_strangers_are_sent_away(imap: ImapBench) -> None:
    client = imap.login()
    imap.board.admits = False
    answer = client.command("UNAUTHENTICATE")
    assert [reply.name for reply in answer.untagged] == ["BYE"]
    assert answer.status == "OK"


@rfc("8437", "8", 1)
def test_it_can_be_switched_off(imap: ImapBench) -> None:
    imap.configure(hide_capabilities=("UNAUTHENTICATE",))
    client = imap.login()
    client.bad("UNAUTHENTICATE")
    client.ok('LIST "" *')
