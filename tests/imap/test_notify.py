"""NOTIFY (RFC 5465): what is told at any time, of the selected mailbox, others and the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.mail.journal import FILE
from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc

ALL = "(MessageNew MessageExpunge FlagChange)"


def lines(client: Client, count: int) -> list[str]:
    """The next replies, which nobody asked for."""
    return [client.read().raw[2:-2].decode() for _ in range(count)]


def watching(mail: ImapBench, groups: str, select: bool = True) -> Client:
    client = mail.select() if select else mail.login()
    client.ok(f"NOTIFY SET {groups}")
    return client


@rfc("5465", "5.2", 1)
def test_new_mail_is_told_outside_of_commands(mail: ImapBench) -> None:
    client = watching(mail, "(selected (MessageNew (UID FLAGS) MessageExpunge))")
    mail.put("alice", MESSAGES[0])
    told = lines(client, 3)
    assert told[0] == "4 EXISTS"
    assert told[2] == "4 FETCH (UID 4 FLAGS (\\Recent))"


@rfc("5465", "5.2", 1)
def test_a_clients_own_mail_is_no_news(mail: ImapBench) -> None:
    client = watching(
        mail, f"(selected (MessageNew (UID) MessageExpunge)) (mailboxes Archive {ALL})"
    )
    told = client.told(client.append("INBOX", MESSAGES[0]))
    assert "4 EXISTS" in told
    assert not any("FETCH" in line for line in told)
    client.append("Archive", MESSAGES[0])
    client.ok("UID COPY 1 Archive")
    assert client.ok("NOOP").untagged == []
    mail.put("alice", MESSAGES[0], folder="Archive")
    assert "MESSAGES 3" in lines(client, 1)[0]


@rfc("5465", "5.1", 1)
def test_expunges_and_flags_are_told_outside_of_commands(mail: ImapBench) -> None:
    client, other = watching(mail, f"(selected {ALL})"), mail.select()
    other.ok("STORE 2 +FLAGS (\\Deleted)")
    assert lines(client, 1) == ["2 FETCH (UID 2 FLAGS (\\Deleted \\Recent))"]
    other.ok("EXPUNGE")
    assert lines(client, 1) == ["2 EXPUNGE"]


def test_flags_are_told_only_when_asked_for(mail: ImapBench) -> None:
    client, other = watching(mail, "(selected (MessageNew MessageExpunge))"), mail.select()
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    mail.put("alice", MESSAGES[0])
    assert lines(client, 1) == ["4 EXISTS"]
    assert not any("FETCH" in line for line in client.told(client.ok("NOOP")))


def test_expunges_wait_for_a_command_that_allows_them(mail: ImapBench) -> None:
    client, other = watching(mail, f"(selected-delayed {ALL})"), mail.select()
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    lines(client, 1)
    other.ok("EXPUNGE")
    mail.put("alice", MESSAGES[0])
    assert "1 EXPUNGE" not in client.told(client.ok("FETCH 2 (UID)"))
    assert "1 EXPUNGE" in client.told(client.ok("NOOP"))


@pytest.mark.parametrize("command", ["NOTIFY NONE", f"NOTIFY SET (mailboxes Archive {ALL})"])
def test_the_selected_mailbox_is_silent_unless_it_is_named(mail: ImapBench, command: str) -> None:
    client, other = mail.select(), mail.select()
    client.ok(command)
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    assert client.ok("NOOP").untagged == []
    client.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert "1 EXPUNGE" in client.told(client.ok("EXPUNGE"))


@rfc("5465", "3.1", 1)
def test_what_was_not_told_yet_is_told_first(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    assert "1 EXPUNGE" in client.told(client.ok("NOTIFY NONE"))


@rfc("5465", "3.1", 2, 3, 4, 5)
def test_numbers_of_other_mailboxes(mail: ImapBench) -> None:
    client = mail.select()
    told = client.told(client.ok(f"NOTIFY SET STATUS (mailboxes (Archive Sent) {ALL})"))
    assert [line.split(" (")[0] for line in told] == ['STATUS "Archive"', 'STATUS "Sent"']
    for item in ("UIDVALIDITY", "MESSAGES 0", "UIDNEXT 1", "HIGHESTMODSEQ"):
        assert item in told[0]
    mail.put("alice", MESSAGES[0], folder="Archive")
    (line,) = lines(client, 1)
    assert line.startswith('STATUS "Archive" (')
    assert "MESSAGES 1 UIDNEXT 2" in line
    assert "UNSEEN 1" in line
    other = mail.select(mailbox="Archive")
    other.ok("STORE 1 +FLAGS (\\Seen)")
    (line,) = lines(client, 1)
    assert "UNSEEN 0" in line
    assert "MESSAGES" not in line


@rfc("5465", "5.2", 6)
@rfc("5465", "5.3", 1)
def test_modseqs_of_other_mailboxes_for_those_who_know_them(mail: ImapBench) -> None:
    client, other = mail.login(), mail.select()
    client.ok("ENABLE CONDSTORE")
    client.ok(f"NOTIFY SET (personal {ALL})")
    other.ok("STORE 1 +FLAGS ($Junk)")
    (line,) = lines(client, 1)
    assert "HIGHESTMODSEQ" in line
    assert "UIDVALIDITY" in line
    mail.put("alice", MESSAGES[0])
    assert "HIGHESTMODSEQ" in lines(client, 1)[0]
    other.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    lines(client, 1)
    other.ok("EXPUNGE")
    (line,) = lines(client, 1)
    assert "MESSAGES 3" in line
    assert "HIGHESTMODSEQ" in line


@rfc("5465", "5", 1, 2)
@rfc("5465", "5.4", 4)
@rfc("5465", "5.5", 1)
def test_names_subscriptions_and_their_makers(mail: ImapBench) -> None:
    client, other = (
        watching(mail, "(personal (MailboxName SubscriptionChange))"),
        mail.login(id="2"),
    )
    client.ok("CREATE Own")
    other.ok("CREATE Lists/new")
    told = lines(client, 2)
    assert 'Lists/new"' in told[0]
    assert told[1].endswith('"/" "Lists"')
    other.ok("SUBSCRIBE Lists/new")
    assert "\\Subscribed" in lines(client, 1)[0]
    other.ok("RENAME Lists/new Lists/old")
    assert lines(client, 1)[0].endswith('"Lists/old" ("OLDNAME" ("Lists/new"))')
    other.ok("DELETE Lists/old")
    told = lines(client, 2)
    assert told[0] == 'LIST (\\NonExistent) "/" "Lists/old"'


def test_a_new_mailbox_of_a_subtree_is_watched(mail: ImapBench) -> None:
    client = watching(mail, f"(subtree Lists {ALL}) (subtree Lists (MailboxName))", select=False)
    mail.account("alice").create("Lists/one")
    assert "Lists/one" in lines(client, 1)[0]
    lines(client, 1)
    mail.put("alice", MESSAGES[0], folder="Lists/one")
    assert lines(client, 1)[0].startswith('STATUS "Lists/one"')


@rfc("5465", "5.6", 1, 2, 3)
@rfc("5465", "5.7", 1, 2, 3)
@rfc("5464", "4.4", 2)
def test_metadata(mail: ImapBench) -> None:
    client = watching(mail, "(personal (MailboxMetadataChange ServerMetadataChange))")
    other = mail.login(id="2")
    for value in ('"mine"', "NIL"):
        other.ok(f"SETMETADATA INBOX (/private/comment {value})")
        assert lines(client, 1) == ['METADATA "INBOX" /private/comment']
        other.ok(f'SETMETADATA "" (/private/comment {value})')
        assert lines(client, 1) == ['METADATA "" /private/comment']


@rfc("5465", "4", 1)
def test_idle_tells_what_notify_asks_for(mail: ImapBench) -> None:
    client, other = watching(mail, f"(personal {ALL})"), mail.select()
    client.send(b"i IDLE\r\n")
    assert client.read().tag == "+"
    other.ok("STORE 1 +FLAGS (\\Flagged)")
    mail.put("alice", MESSAGES[0], folder="Archive")
    assert lines(client, 1)[0].startswith('STATUS "Archive"')
    client.send(b"DONE\r\n")
    assert client.read().tag == "i"


def test_a_resumed_session_goes_on_telling(mail: ImapBench) -> None:
    client = watching(mail, f"(selected {ALL}) (personal (MailboxName))")
    client.leave("later")
    client.wait()
    client.record.greeted = True
    mail.account("alice").create("Meanwhile")
    mail.put("alice", MESSAGES[0])
    again = mail.connect(client.record)
    assert "Meanwhile" in lines(again, 1)[0]
    assert "4 EXISTS" in lines(again, 1)


@rfc("5465", "5.8", 1)
def test_lost_events_are_said_to_be_lost(mail: ImapBench) -> None:
    client = watching(mail, "(personal (MailboxName))")
    account = mail.account("alice")
    (Path(account.root) / FILE).unlink()
    assert "NOTIFICATIONOVERFLOW" in lines(client, 1)[0]
    assert client.record.notify is not None
    assert client.record.notify["groups"] == []


@rfc("5465", "5.4", 1)
def test_what_others_open_and_close_is_created_and_deleted(mail: ImapBench) -> None:
    bob = mail.login("bob")
    bob.ok("NOTIFY SET (subtree Users (MailboxName))")
    alice = mail.login(id="2")
    alice.ok("SETACL INBOX bob lr")
    told = lines(bob, 2)
    assert told[0].endswith('"/" "Users/alice"')
    assert "NonExistent" not in told[0]
    alice.ok("DELETEACL INBOX bob")
    assert lines(bob, 2)[0] == 'LIST (\\NonExistent) "/" "Users/alice"'


@rfc("5465", "3.1", 7, 8, 9, 10)
@rfc("5465", "5.9", 1, 2, 3, 4)
def test_rights_decide_what_is_told(mail: ImapBench) -> None:
    alice = mail.select()
    for mailbox, rights in (("INBOX", "l"), ("Archive", "lr")):
        alice.ok(f"SETACL {mailbox} bob {rights}")
    bob = mail.login("bob")
    names = "Users/alice Users/alice/Archive Users/alice/Sent Users/alice/none Users/nobody"
    told = bob.told(bob.ok(f"NOTIFY SET STATUS (mailboxes ({names}) {ALL})"))
    assert told[0] == 'LIST (\\NoAccess) "/" "Users/alice"'
    assert [line.split(" (")[0] for line in told[1:]] == ['STATUS "Users/alice/Archive"']
    alice.ok("SETACL INBOX bob lr")
    (line,) = lines(bob, 1)
    assert line.startswith("LIST (")
    assert "NoAccess" not in line
    alice.ok("STORE 1 +FLAGS (\\Seen)")
    assert "UNSEEN 2" in lines(bob, 1)[0]
    alice.ok("SETACL INBOX bob l")
    assert lines(bob, 1) == ['LIST (\\NoAccess) "/" "Users/alice"']
    alice.ok("STORE 1 -FLAGS (\\Seen)")
    assert bob.ok("NOOP").untagged == []
    alice.ok("DELETEACL Archive bob")
    assert lines(bob, 1) == ['LIST (\\NoAccess) "/" "Users/alice/Archive"']


@rfc("5465", "5.1", 3)
def test_a_mailbox_made_anew_has_another_uidvalidity(mail: ImapBench) -> None:
    client = watching(mail, f"(mailboxes Archive {ALL})")
    account = mail.account("alice")
    account.delete("Archive")
    account.create("Archive")
    assert client.command("NOOP").status == "OK"
    mail.put("alice", MESSAGES[0], folder="Archive")
    (line,) = lines(client, 1)
    assert "UIDVALIDITY" in line


@rfc("5465", "6.4", 1)
def test_subscriptions_are_followed(mail: ImapBench) -> None:
    client, other = watching(mail, f"(subscribed {ALL})"), mail.login(id="2")
    other.ok("UNSUBSCRIBE Archive")
    other.ok("CREATE Lists")
    other.ok("SUBSCRIBE Lists")
    client.ok("NOOP")
    mail.put("alice", MESSAGES[0], folder="Archive")
    mail.put("alice", MESSAGES[0], folder="Lists")
    assert lines(client, 1)[0].startswith('STATUS "Lists"')


@rfc("5465", "6.6", 1)
@rfc("5465", "3.1", 6)
@rfc("5465", "8", 1)
def test_names_are_no_patterns_and_words_have_any_case(mail: ImapBench) -> None:
    client = watching(mail, '(Mailboxes ("*" "%" nowhere) (mESSAGEnEW mESSAGEeXPUNGE))')
    mail.put("alice", MESSAGES[0], folder="Archive")
    assert client.ok("NOOP").untagged == []
    client.ok("notify set (SELECTED (messagenew messageexpunge))")


@rfc("5465", "6.3", 1)
def test_inboxes_are_all_personal_ones(mail: ImapBench) -> None:
    client = watching(mail, f"(inboxes {ALL})")
    mail.put("alice", MESSAGES[0], folder="Junk")
    assert lines(client, 1)[0].startswith('STATUS "Junk"')


@rfc("5465", "5.1", 2)
@rfc("5465", "5.2", 2, 5)
@rfc("5465", "7", 2)
def test_contexts_are_told_between_the_count_and_the_items(mail: ImapBench) -> None:
    client = watching(mail, "(selected (MessageNew (UID) MessageExpunge FlagChange))")
    client.ok("SEARCH RETURN (UPDATE) FLAGGED")
    client.ok("SEARCH RETURN (UPDATE) SUBJECT one")
    mail.put("alice", MESSAGES[0])
    told = lines(client, 4)
    assert [line.split()[0 if "ESEARCH" in line else 1] for line in told] == [
        "EXISTS",
        "RECENT",
        "ESEARCH",
        "FETCH",
    ]
    mail.select().ok("STORE 2 +FLAGS (\\Flagged)")
    told = lines(client, 2)
    assert told[0].startswith("2 FETCH (UID 2 FLAGS")
    assert told[1].startswith("ESEARCH")


BAD = [
    "NOTIFY",
    "NOTIFY SET",
    "NOTIFY MAYBE",
    "NOTIFY SET (selected (MessageNew))",
    "NOTIFY SET (selected (MessageExpunge))",
    "NOTIFY SET (personal (FlagChange))",
    "NOTIFY SET (selected (MailboxName))",
    "NOTIFY SET (selected NONE) (selected-delayed NONE)",
    "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
    "NOTIFY SET (nowhere (MailboxName))",
    "NOTIFY SET (mailboxes () (MailboxName))",
    "NOTIFY SET (personal ())",
]


@rfc("5465", "5", 3, 4, 5, 6)
@rfc("5465", "8", 2, 3)
@pytest.mark.parametrize("command", BAD)
def test_what_does_not_go_together_is_bad(mail: ImapBench, command: str) -> None:
    client = mail.select()
    client.bad(command)
    client.ok("NOOP")


@rfc("5465", "3.1", 11, 12)
def test_an_event_that_is_not_supported(mail: ImapBench) -> None:
    answer = mail.login().no("NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))")
    assert answer.code == "BADEVENT"
    assert b"(MessageNew MessageExpunge FlagChange MailboxName " in answer.tagged.raw


def test_too_many_mailboxes(imap: ImapBench) -> None:
    imap.configure(notify_mailboxes=3)
    client = imap.login()
    assert client.no(f"NOTIFY SET (personal {ALL})").code == "NOTIFICATIONOVERFLOW"
    client.ok("NOTIFY SET (inboxes NONE)")


@rfc("5465", "5.8", 1)
@pytest.mark.parametrize("command", ["", "NOOP", "IDLE"])
def test_mailboxes_that_become_too_many(imap: ImapBench, command: str) -> None:
    """It is said once, wherever it is noticed, and no command fails for it."""
    imap.configure(notify_mailboxes=7)
    client, other = imap.login(id="1"), imap.login(id="2")
    client.ok(f"NOTIFY SET (personal {ALL})")
    other.ok("CREATE One")
    if command == "IDLE":
        client.send(b"x IDLE\r\n")
        assert client.read().tag == "+"
    other.ok("CREATE Two")
    told = client.ok(command).untagged if command == "NOOP" else [client.read()]
    assert [reply.code for reply in told] == [["NOTIFICATIONOVERFLOW"]]
    if command == "IDLE":
        client.send(b"DONE\r\n")
        assert client.read().raw == b"x OK IDLE completed\r\n"
    other.append("One", MESSAGES[0])
    assert client.ok("NOOP").untagged == []
    assert client.record.idling == ""


def test_private_annotations_of_others_are_no_event(mail: ImapBench) -> None:
    """RFC 5464 §3.2: they are the other user's alone."""
    client = watching(mail, "(personal (MailboxMetadataChange))", select=False)
    client.ok("SETACL INBOX bob lrw")
    bob = mail.login("bob")
    bob.ok('SETMETADATA Users/alice (/private/comment "mine")')
    bob.ok('SETMETADATA Users/alice (/shared/comment "ours")')
    assert lines(client, 1) == ['METADATA "INBOX" /shared/comment']


def test_what_changes_nothing_is_no_event(mail: ImapBench) -> None:
    client = watching(mail, "(personal (MailboxMetadataChange))", select=False)
    other = mail.login(id="2")
    other.ok("SETMETADATA INBOX (/shared/comment NIL /private/comment NIL)")
    other.ok('SETMETADATA INBOX (/shared/comment NIL /private/comment "b")')
    assert lines(client, 1) == ['METADATA "INBOX" /private/comment']


@pytest.mark.parametrize("groups", ["", "(selected (MessageNew MessageExpunge))"])
def test_a_clients_own_mail_is_not_remembered_for_ever(mail: ImapBench, groups: str) -> None:
    client = watching(mail, groups) if groups else mail.select()
    client.append("INBOX", MESSAGES[0])
    client.ok("COPY 1:4 INBOX")
    client.ok("NOOP")
    assert not client.running.session.added
