"""Sessions that wait without a process: what their record says, and what they are told next."""

from __future__ import annotations

from typing import Any

from pymaild.core.session import Cause, Ending, Wait
from pymaild.imap.record import ImapRecord
from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc


def waits(bench: ImapBench, client: Client, **changes: Any) -> ImapRecord:
    record: ImapRecord = bench.parked(client.running, **changes)
    return record


def go_on(bench: ImapBench, client: Client, **changes: Any) -> Client:
    """Let another process go on with a session that waits."""
    resumed = bench.connect(waits(bench, client, **changes))
    resumed.count = client.count
    return resumed


def wait_of(record: ImapRecord) -> Wait:
    assert record.wait is not None
    return record.wait


# -- silence ---------------------------------------------------------------------------------------


def test_silence(mail: ImapBench) -> None:
    client = mail.select()
    wait = wait_of(waits(mail, client))
    assert 1700 < wait.seconds <= 1800
    assert wait.farewell.startswith(b"* BYE Autologout")
    assert wait.leave == b"* BYE %s\r\n"
    assert (wait.watches, wait.idle, wait.every) == ([], [], 0.0)


def test_what_happened_is_told(mail: ImapBench) -> None:
    client = mail.select()
    record = waits(mail, client)
    with mail.account("alice").open("INBOX") as opened:
        opened.expunge([1])
    mail.put("alice", MESSAGES[0])
    resumed = mail.connect(record)
    resumed.count = client.count
    told = resumed.told(resumed.ok("NOOP"))
    assert told == ["1 EXPUNGE", "3 EXISTS", "3 RECENT"]
    assert resumed.told(resumed.ok("NOOP")) == []


def test_before_login_no_time_is_won(mail: ImapBench) -> None:
    client = mail.connect()
    record = waits(mail, client)
    assert 50 < wait_of(record).seconds <= 60
    wait_of(record).seconds = 0.05
    resumed = mail.connect(record)
    assert resumed.read().name == "BYE"
    assert resumed.wait() is Ending.CLOSED


def test_a_line_in_pieces(mail: ImapBench) -> None:
    """What has come of a line waits in the record, and is not told of in between."""
    client = mail.select()
    for piece in (b"x ", b"FETCH 1 ", b"(UI"):
        client.send(piece)
        client = go_on(mail, client)
    record = waits(mail, client)
    assert record.unread == b"x FETCH 1 (UI"
    client = mail.connect(record)
    mail.put("alice", MESSAGES[0])
    client.send(b"D)\r\n")
    assert client.finish("x").untagged[0].name == "FETCH"


def test_nobody_waits_behind_a_literal(mail: ImapBench) -> None:
    """The client has been asked for more: another process could not go on."""
    client = mail.select()
    client.send(b"x STATUS {5}\r\n")
    assert client.read().raw.startswith(b"+")
    client.send(b"INB")
    client.leave("maintenance")
    client.send(b"OX (MESSAGES)\r\n")
    client.finish("x")
    assert client.read().name == "BYE"


def test_texts_are_in_the_language_of_the_session(mail: ImapBench) -> None:
    client = mail.login()
    client.ok("LANGUAGE de")
    wait = wait_of(waits(mail, client))
    assert b"Autologout, the connection" not in wait.farewell
    assert wait.leave == b"* BYE %(de)s\r\n"


# -- IDLE ------------------------------------------------------------------------------------------


def idles(mail: ImapBench) -> tuple[Client, str]:
    client = mail.select()
    return client, client.idle()


@rfc("2177", "3", 3)
def test_idle(mail: ImapBench) -> None:
    client, tag = idles(mail)
    record = waits(mail, client)
    wait = wait_of(record)
    assert wait.idle == [tag, "OK IDLE completed", "+ idling"]
    assert len(wait.watches) == 3
    assert wait.seconds == 0
    assert (wait.every, wait.longest) == (120, 1500)
    assert not mail.watching.stirred(wait)
    mail.put("alice", MESSAGES[0])
    assert mail.watching.stirred(wait)
    resumed = mail.connect(record)
    assert resumed.until("EXISTS")[-1].number == 4
    resumed.count = client.count
    resumed = go_on(mail, resumed)
    resumed.done(tag)


def test_an_idle_that_the_keeper_has_begun(mail: ImapBench) -> None:
    client, tag = idles(mail)
    texts = ["OK IDLE completed", "+ idling"]
    record = waits(mail, client, idle=["again", *texts], commands=3)
    mail.put("alice", MESSAGES[0])
    resumed = mail.connect(record)
    assert resumed.until("EXISTS")[-1].number == 4
    resumed.done("again")
    assert resumed.record.commands >= 6
    assert tag != "again"


def test_an_idle_that_the_keeper_has_ended(mail: ImapBench) -> None:
    client, _ = idles(mail)
    resumed = go_on(mail, client, idle=["", "OK IDLE completed", "+ idling"])
    resumed.ok("NOOP")


def test_keep_alives_become_rare(mail: ImapBench) -> None:
    """How rare they have become goes from process to process."""
    client, _ = idles(mail)
    record = waits(mail, client, every=400.0, cause=Cause.CLIENT)
    resumed = mail.connect(record)
    assert wait_of(waits(mail, resumed)).every == 400


def test_a_part_of_done(mail: ImapBench) -> None:
    """The keeper cannot read what does not begin with it."""
    client, tag = idles(mail)
    client.send(b"DO")
    record = waits(mail, client)
    assert record.unread == b"DO"
    assert wait_of(record).idle == []
    client = mail.connect(record)
    client.send(b"NE\r\n")
    client.finish(tag)


def test_a_mailbox_that_has_gone(mail: ImapBench) -> None:
    client = mail.select(mailbox="Archive")
    client.idle()
    record = waits(mail, client)
    mail.account("alice").delete("Archive")
    assert mail.watching.stirred(wait_of(record))
    resumed = mail.connect(record)
    assert resumed.read().name == "BYE"
    assert resumed.wait() is Ending.CLOSED


def test_a_mailbox_that_was_renumbered(mail: ImapBench) -> None:
    client = mail.select()
    record = waits(mail, client)
    record.uidvalidity += 1
    assert mail.connect(record).read().name == "BYE"


# -- NOTIFY ----------------------------------------------------------------------------------------


def test_notify(mail: ImapBench) -> None:
    """All that is told of is watched: messages of two mailboxes, and the tree."""
    client = mail.login()
    client.ok("CREATE lists")
    client.ok("SELECT INBOX")
    client.ok(
        "NOTIFY SET (selected (MessageNew MessageExpunge)) (mailboxes lists (MessageNew "
        "MessageExpunge)) (personal (MailboxName))"
    )
    record = waits(mail, client)
    for folder, told in (("lists", "STATUS"), ("INBOX", "EXISTS")):
        assert not mail.watching.stirred(wait_of(record))
        mail.put("alice", MESSAGES[0], folder=folder)
        assert mail.watching.stirred(wait_of(record))
        client = mail.connect(record)
        assert client.until(told)
        record = waits(mail, client)
        mail.watching.stirred(wait_of(record))
    mail.account("alice").create("fresh")
    assert mail.watching.stirred(wait_of(record))
    assert b"fresh" in mail.connect(record).until("LIST")[-1].raw
