"""LANGUAGE (RFC 5255 §3): the language of what people read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymaild.core.session import User
from pymaild.core.settings import FilePath
from pymaild.imap.commands import COMMANDS
from pymaild.imap.states import State
from tests.imap.conftest import Client, ImapBench
from tests.support.imap import Answer
from tests.support.rfc import rfc

GERMAN_NAMESPACE = 'NAMESPACE (("" "/")) (("Users/" "/" "TRANSLATION" ("Andere Benutzer/"))) NIL'
SHARED = '(("Shared/" "/" "TRANSLATION" ("Gemeinsame Postf&AOQ-cher/")))'


def text(client: Client, command: str) -> str:
    """The human part of a tagged reply."""
    return said(client.command(command))


def said(answer: Answer) -> str:
    """What stands behind tag and status."""
    return answer.tagged.raw.split(b" ", 2)[2].decode().strip()


@rfc("5255", "3.1", 1)
def test_it_is_announced_from_the_greeting_on(imap: ImapBench) -> None:
    client = imap.connect()
    assert b" LANGUAGE" in client.greeting.raw
    assert "LANGUAGE" in client.told(client.ok("CAPABILITY"))[0].split()
    client.ok("LOGIN alice secret")
    assert "LANGUAGE" in client.told(client.ok("CAPABILITY"))[0].split()


@rfc("5255", "3.1", 2, 3)
@rfc("5255", "3.2", 3)
def test_what_there_is_is_listed_and_nothing_changes(imap: ImapBench) -> None:
    client = imap.connect()
    answer = client.ok("LANGUAGE")
    assert client.told(answer) == ["LANGUAGE (i-default en de)"]
    assert said(answer) == "LANGUAGE completed"
    assert client.record.language == ""


@rfc("5255", "3.2", 1)
def test_what_follows_is_in_the_language_chosen(imap: ImapBench) -> None:
    client = imap.connect()
    answer = client.ok("LANGUAGE de")
    assert client.told(answer) == ["LANGUAGE (de)"]
    assert said(answer) == "LANGUAGE ausgeführt"
    assert "NOOP ausgeführt" in text(client, "NOOP")
    assert "Unbekannter Befehl" in text(client, "XYZZY")
    assert "Anmeldung gescheitert" in text(client, "LOGIN alice wrong")
    assert "Angemeldet" in text(client, "LOGIN alice secret")
    assert "Dieses Postfach gibt es nicht" in text(client, "SELECT Nowhere")
    assert "[NONEXISTENT]" in text(client, "SELECT Nowhere")
    told = client.told(client.ok("SELECT INBOX"))
    assert any(line.endswith("] UIDs sind gültig") for line in told)
    assert "* BYE Abmeldung" in client.command("LOGOUT").untagged[0].raw.decode()


@rfc("5255", "3.2", 2)
def test_a_range_that_fits_in_part_is_told_what_it_got(imap: ImapBench) -> None:
    client = imap.connect()
    assert client.told(client.ok("LANGUAGE fr-CA de-AT en")) == ["LANGUAGE (de)"]
    assert client.told(client.ok('LANGUAGE "EN-ca"')) == ["LANGUAGE (en)"]
    assert client.told(client.ok("LANGUAGE I-DEFAULT")) == ["LANGUAGE (i-default)"]


def test_what_nobody_speaks_changes_nothing(imap: ImapBench) -> None:
    client = imap.connect()
    client.ok("LANGUAGE de")
    answer = client.no("LANGUAGE fr it")
    assert "Keine dieser Sprachen" in said(answer)
    assert answer.untagged == []
    assert "NOOP ausgeführt" in text(client, "NOOP")


@pytest.mark.parametrize("ranges", ["de-", '""', "de--at", "d*", "a_b", '"de at"'])
def test_what_is_no_range_is_bad(imap: ImapBench, ranges: str) -> None:
    imap.connect().bad(f"LANGUAGE {ranges}")


def test_default_is_what_the_administrator_prefers(imap: ImapBench) -> None:
    client = imap.connect()
    assert client.told(client.ok("LANGUAGE default")) == ["LANGUAGE (i-default)"]
    imap.mail = replace(imap.mail, language="de")
    other = imap.connect()
    assert said(other.ok("LANGUAGE")) == "LANGUAGE completed"
    assert other.told(other.ok("LANGUAGE fr DEFAULT")) == ["LANGUAGE (de)"]


@rfc("5255", "3.1", 4)
@rfc("5255", "3.4", 1)
def test_namespaces_have_names_in_the_language(imap: ImapBench) -> None:
    client = imap.connect()
    assert len(client.ok("LANGUAGE de").untagged) == 1  # nobody is logged in
    client.ok("LOGIN alice secret")
    told = client.told(client.ok("LANGUAGE de"))
    assert told == ["LANGUAGE (de)", GERMAN_NAMESPACE]
    assert client.told(client.ok("NAMESPACE")) == [GERMAN_NAMESPACE]
    told = client.told(client.ok("LANGUAGE en"))
    assert told == ["LANGUAGE (en)", 'NAMESPACE (("" "/")) (("Users/" "/")) NIL']


def test_the_names_are_written_as_mailboxes_are(imap: ImapBench) -> None:
    imap.mail = replace(imap.mail, shared_directory=FilePath(str(imap.folder / "shared")))
    client = imap.login()
    client.ok("LANGUAGE de")
    assert client.told(client.ok("NAMESPACE"))[0].endswith(SHARED)
    client.ok("ENABLE IMAP4rev2")
    assert '("Gemeinsame Postfächer/")' in client.told(client.ok("NAMESPACE"))[0]


def test_a_name_of_the_administrator_is_not_translated(imap: ImapBench) -> None:
    imap.mail = replace(imap.mail, others="Leute")
    client = imap.login()
    assert "TRANSLATION" not in client.told(client.ok("LANGUAGE de"))[1]


def test_the_choice_goes_on_in_another_process(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("LANGUAGE de")
    client = mail.resume(client)
    assert "NOOP ausgeführt" in text(client, "NOOP")
    other = mail.select()
    other.ok("STORE 1 +FLAGS (Neu)")
    assert any("Bleibende Flags" in line for line in client.told(client.ok("NOOP")))


def test_unauthenticate_forgets_it(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("LANGUAGE de")
    assert said(client.ok("UNAUTHENTICATE")) == "UNAUTHENTICATE completed"
    assert client.record.language == ""


def test_untagged_texts_are_translated(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("LANGUAGE de")
    told = client.told(client.ok("MOVE 1 Archive"))
    assert told[0].startswith("OK [COPYUID")
    assert told[0].endswith("] Verschoben")
    told = client.told(client.ok("SELECT INBOX"))
    assert told[0] == "OK [CLOSED] Das vorige Postfach ist geschlossen"
    client.leave("Server is shutting down")
    assert client.read().raw.decode() == "* BYE Der Server wird beendet\r\n"


def test_a_resumption_that_fails_says_so_in_the_language(mail: ImapBench) -> None:
    user = User(name="alice", mail=mail.account("alice").root)
    record = mail.record(
        user=user, state=State.SELECTED, mailbox="INBOX", uidvalidity=1, greeted=True, language="de"
    )
    client = mail.connect(record)
    assert "gelöscht oder neu nummeriert" in client.read().raw.decode()


def test_the_usual_ok_is_made_beforehand_in_english() -> None:
    assert COMMANDS[b"NOOP"].ok == b" OK NOOP completed\r\n"
