"""What clients of the field stumble over, as tables: none of it is ours."""

from __future__ import annotations

import os
import re
from base64 import b64encode

import pytest

from tests.imap.conftest import Client, ImapBench

# -- what clients need -------------------------------------------------------------------------

MANY = ",".join(str(number) for number in range(1, 22_000, 2))  # 60 KB

#: Who needs it; commands before; the command; what its answer holds.
NEEDS: list[tuple[str, list[str], str, str]] = [
    ("Outlook: special uses in LSUB", [], 'LSUB "" "*"', r'LSUB \(\S+ \\Sent\) "/" "Sent"'),
    ("Outlook: special uses unasked", [], 'LIST "" "*"', r'LIST \(\S+ \\Junk\) "/" "Junk"'),
    ("Thunderbird: special uses asked", [], 'LIST (SPECIAL-USE) "" "*"', r"\\Drafts"),
    ("Apple Mail: special uses asked", [], 'LIST "" * RETURN (SPECIAL-USE)', r"\\Trash"),
    (
        "Thunderbird: greys what cannot be selected",
        ["CREATE a/b", "SUBSCRIBE a/b"],
        'LSUB "" %',
        r'LSUB \(\\Noselect\) "/" "a"',
    ),
    ("Thunderbird: a bare ampersand", ["CREATE R&-D"], "STATUS R&D (MESSAGES)", '"R&-D"'),
    ("raw UTF-8", ["CREATE &APw-"], "STATUS \u00fc (MESSAGES)", '"&APw-"'),
    ("FairEmail, Roundcube: INBOX in capitals", [], 'LIST "" inbox', r'"INBOX"\r'),
    ("FairEmail, Roundcube: and in STATUS", [], "STATUS Inbox (MESSAGES)", '"INBOX"'),
    ("Outlook: UIDs that are gone", ["SELECT INBOX"], "UID MOVE 999 Trash", "OK UID MOVE"),
    ("mbsync: UIDs that are gone", ["SELECT INBOX"], "UID COPY 999 Trash", "OK UID COPY"),
    ("all: the last message", ["SELECT INBOX"], "UID FETCH 999:* UID", r"3 FETCH \(UID 3\)"),
    ("Outlook: sets of 60 KB", ["SELECT INBOX"], f"UID FETCH {MANY} UID", r"3 FETCH \(UID 3\)"),
    ("webmail: CHARSET left out", ["SELECT INBOX"], "SEARCH FROM J\u00f6rg", r"SEARCH 3\r"),
    ("all: ranges from memory", ["SELECT INBOX"], "SEARCH 1:500", r"SEARCH 1 2 3\r"),
    ("all: UID first", ["SELECT INBOX"], "FETCH 1 (FLAGS UID)", r"FETCH \(UID 1 FLAGS"),
    ("old clients: \\Recent", ["SELECT INBOX"], "FETCH 1 FLAGS", r"\\Recent"),
    ("all: flags without parentheses", ["SELECT INBOX"], "STORE 1 +FLAGS \\Seen", r"\\Seen"),
    ("mutt: keywords of any kind", ["SELECT INBOX"], "STORE 1 +FLAGS ($MDNSent Old)", r"\$MDNSent"),
    ("all: the separator", [], 'LIST "" ""', r'LIST \(\\Noselect\) "/" ""'),
]


@pytest.mark.parametrize(("who", "before", "command", "told"), NEEDS, ids=[n[0] for n in NEEDS])
def test_need(mail: ImapBench, who: str, before: list[str], command: str, told: str) -> None:
    client = mail.login()
    for text in before:
        client.ok(text)
    answer = client.ok(command)
    raw = b"".join([*(reply.raw for reply in answer.untagged), answer.tagged.raw])
    assert re.search(told, raw.decode())


def test_initial_response_of_a_user_name(imap: ImapBench) -> None:
    """Outlook's servers send LOGIN with the user's name in the command (RFC 4959 §3)."""
    client = imap.connect()
    client.send(b"a AUTHENTICATE LOGIN " + b64encode(b"alice") + b"\r\n")
    assert client.read().tag == "+"
    client.send(b64encode(b"secret") + b"\r\n")
    assert client.finish("a").status == "OK"


def test_a_renumbered_mailbox_ends_the_session(mail: ImapBench) -> None:
    """Clients do not expect another UIDVALIDITY while a mailbox is selected."""
    client = mail.select(mailbox="Archive")
    account = mail.account("alice")
    account.delete("Archive")
    account.create("Archive")
    client.send(b"a NOOP\r\n")
    assert client.read().name == "BYE"
    assert client.ended()


def test_what_is_not_announced_is_bad(mail: ImapBench) -> None:
    """RFC 3501 §7.2.1: clients that try an extension see at once that it is not there."""
    client = mail.select()
    for command in ("FETCH 1 (FLAGS ANNOTATION)", "SEARCH FUZZY TEXT x", "COMPRESS X"):
        client.bad(command)


def test_ios_goes_on_behind_done(mail: ImapBench) -> None:
    """iOS 18 sends DONE and what it wants next in one packet, another mailbox among it."""
    client = mail.select()
    tag = client.idle()
    client.send(b"DONE\r\na STATUS Archive (MESSAGES)\r\nb SELECT Archive\r\nc IDLE\r\n")
    for each in (tag, "a", "b"):
        assert client.finish(each).status == "OK"
    assert client.read().tag == "+"
    client.send(b"DONE\r\nd SELECT INBOX\r\ne UID FETCH 1:* FLAGS\r\n")
    assert client.finish("c").status == "OK"
    assert client.finish("d").one("EXISTS").number == 3
    assert list(client.finish("e").fetched()) == [1, 2, 3]


def test_store_and_expunge_in_one_packet(mail: ImapBench) -> None:
    """Each command sees what those before it have done."""
    client = mail.select()
    store, expunge, again, fetch = client.pipeline(
        [
            "UID STORE 1 +FLAGS.SILENT (\\Deleted)",
            "EXPUNGE",
            "STORE 1 +FLAGS (\\Seen)",
            "FETCH 1:* UID",
        ]
    )
    assert [reply.name for reply in store.untagged] == []
    assert client.told(expunge)[0] == "1 EXPUNGE"
    assert "UID 1" not in str(client.told(again))
    assert client.told(fetch) == ["1 FETCH (UID 2)", "2 FETCH (UID 3)"]


@pytest.mark.parametrize("over", [0, 1])
def test_a_set_as_long_as_a_command_may_be(mail: ImapBench, over: int) -> None:
    """The line end counts; one octet more is refused, and the session goes on."""
    client = mail.select()
    limit = mail.settings.command_size + over
    start, end = b"x UID FETCH ", b" (UID)\r\n"
    room = limit - len(start) - len(end)
    numbers = (b"1,2,3," * (room // 6 + 1))[: room - 1].rstrip(b",").ljust(room, b"3")
    client.send(start + numbers + end)
    answer = client.finish("x")
    assert (answer.status, str(answer.code)) == (("OK", "") if not over else ("BAD", "TOOBIG"))
    client.ok("NOOP")


@pytest.mark.parametrize("modes", ["", "ENABLE UTF8=ACCEPT", "ENABLE IMAP4rev2"])
def test_an_ampersand_in_names(mail: ImapBench, modes: str) -> None:
    """In both encodings, made in the one and used in the other."""
    old, new = mail.login(), mail.login()
    old.ok("CREATE R&-D")
    if modes:
        new.ok(modes)
    wire = "R&D" if modes else "R&-D"
    assert new.told(new.ok(f'STATUS "{wire}" (MESSAGES)')) == [f'STATUS "{wire}" (MESSAGES 0)']
    new.ok(f'CREATE "{wire}/Q{wire[1:]}"')
    assert old.ok('LIST "" "R&-D/%"').one("LIST").values[-1] == b"R&-D/Q&-D"


# -- the named switches ------------------------------------------------------------------------

SWITCHES = [
    ("absent_numbers", "SEARCH 1:500"),
    ("absent_numbers", "SEARCH NOT (SEEN 4)"),
    ("raw_search", "SEARCH FROM J\u00f6rg"),
]


@pytest.mark.parametrize(("switch", "command"), SWITCHES)
def test_switch(mail: ImapBench, switch: str, command: str) -> None:
    """RFC 3501 §9 (seq-number), §6.4.4: each leniency can be turned off by its name."""
    mail.select().ok(command)
    mail.switch(**{switch: False})
    client = mail.select()
    assert client.command(command).status in ("BAD", "NO")
    client.ok("SEARCH 1:3 FROM ann UID 1:500")


# -- MailKit's list of server bugs -------------------------------------------------------------

PARTS = b"""\
From: "a \\"b\\"" <a@example.org>
To: undisclosed-recipients:;
Subject: say "x" \\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset; format=flowed; name=""
Content-Disposition: inline

text
--x
Content-Type: application/octet-stream
Content-Disposition: attachment; filename

--x
Content-Type: multipart/alternative; boundary=y

--y--
--x
Content-Type: message/rfc822

Subject: \xfc

--x--
"""

SESSION = [
    "CAPABILITY",
    "ID NIL",
    "LOGIN alice secret",
    "NAMESPACE",
    'CREATE "a \\"b\\\\ c"',
    "CREATE empty",
    "STATUS empty (HIGHESTMODSEQ)",
    'LIST "" ""',
    'LIST "" *',
    'LIST (SPECIAL-USE) "" *',
    'LSUB "" *',
    "STATUS empty (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)",
    "SELECT empty",
    "SEARCH ALL",
    "SELECT empty (CONDSTORE)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)",
    "EXAMINE INBOX",
    "SELECT INBOX",
    "SEARCH ALL",
    "UID SEARCH UNSEEN",
    "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)",
    "FETCH 1:* (BODYSTRUCTURE MODSEQ)",
    "STORE 1 +FLAGS (\\Seen $New)",
    "COPY 1 empty",
    "NOOP",
    "CLOSE",
    "LOGOUT",
]

#: What the bug is; what is never told; how it looks where it is told.
BUGS = [
    ("numbers that start at one", r"(UIDNEXT|UIDVALIDITY|MODSEQ) \(?(0|-1)\b", "UIDNEXT 0"),
    ("the first unseen message of none", r"\[UNSEEN 0\]", "* OK [UNSEEN 0] x"),
    ("a code without its status", r"^\* \[", "* [UIDNEXT 1]"),
    ("\\* in FLAGS", r"^\* FLAGS \([^)]*\\\*", "* FLAGS (\\Seen \\*)"),
    ("a bare disposition", r'[^(]"(inline|attachment)"', '"PLAIN" NIL NIL "inline" NIL'),
    (
        "no encoding",
        r'"(plain|octet-stream|rfc822)" (NIL|\([^)]*\)) NIL NIL NIL',
        '"TEXT" "PLAIN" ("CHARSET" "x") NIL NIL NIL 12 1',
    ),
    ("NIL for a parameter", r'"(charset|format|name|filename)" NIL', '("NAME" NIL)'),
    ("ESEARCH that nobody asked for", r"^\* ESEARCH", "* ESEARCH ALL 1"),
    ("octets beyond ASCII outside of literals", r"[\x80-\xff]", '"\xfc"'),
    ("a bare control character", r"[\x00-\x08\x0b\x0c\x0e-\x1f]", '* LIST () "/" "a\x01"'),
    ("a refusal", r"^t\d+ (NO|BAD)", "t1 BAD Unknown option"),
    ("the name of another server", r"dovecot|cyrus|courier|exchange|gimap|zimbra", "Dovecot ready"),
    ("NIL for a separator", r"^\* (LIST|LSUB) \([^)]*\) NIL", '* LIST () NIL "a"'),
]
#: What is always told.
MUSTS = [
    ("the separator", r'^\* LIST \(\\Noselect\) "/" ""\r$'),
    ("escapes", r'^\* LIST \([^)]*\) "/" "a \\"b\\\\ c"\r$'),
    ("escapes in a header field", r'"say \\"x\\" \\\\"'),
    ("an answer to SPECIAL-USE", r"^\* LIST \(\\HasNoChildren \\Archive\)"),
    ("PERMANENTFLAGS", r"^\* OK \[PERMANENTFLAGS \([^)]*\\\*\)\]"),
    ("PERMANENTFLAGS of EXAMINE", r"^\* OK \[PERMANENTFLAGS \(\)\]"),
    ("an empty SEARCH", r"^\* SEARCH\r$"),
    ("UIDNEXT of an empty mailbox", r'^\* STATUS "empty" \(.*UIDNEXT 1 '),
    ("a disposition in a list", r'(?i)\("inline" NIL\)'),
    ("an encoding where none was given", r'(?i)"octet-stream" NIL NIL NIL "7bit"'),
]


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All replies of a session, one octet a character."""
    from pymaild.imap.record import ImapRecord
    from pymaild.imap.session import ImapSession
    from pymaild.imap.settings import ImapSettings

    folder = tmp_path_factory.mktemp("mailkit")
    with ImapBench(folder, (ImapRecord, ImapSession), ImapSettings()) as bench:
        bench.add_user("alice")
        os.mkdir(folder / "mail" / "alice" / "Maildir" / ".odd\x01name")
        os.mkdir(folder / "mail" / "alice" / "Maildir" / ".odd\x01name" / "cur")
        bench.put("alice", PARTS, PARTS.replace(b"\n", b"\r\n"))
        return told(bench.connect())


def told(client: Client) -> str:
    raw = [client.greeting.raw]
    for command in SESSION:
        answer = client.command(command)
        raw += [*(reply.raw for reply in answer.untagged), answer.tagged.raw]
    return b"".join(raw).decode("latin-1")


@pytest.mark.parametrize(("bug", "pattern", "sample"), BUGS, ids=[bug[0] for bug in BUGS])
def test_bug_is_not_ours(transcript: str, bug: str, pattern: str, sample: str) -> None:
    sign = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
    assert sign.search(sample)
    assert not sign.search(without_literals(transcript))


@pytest.mark.parametrize(("what", "pattern"), MUSTS, ids=[what for what, _ in MUSTS])
def test_must(transcript: str, what: str, pattern: str) -> None:
    assert re.search(pattern, transcript, re.MULTILINE)


def without_literals(raw: str) -> str:
    """Cut the octets of literals, in which anything may stand."""
    plain, place = "", 0
    for match in re.finditer(r"\{(\d+)\}\r\n", raw):
        if match.start() >= place:
            plain += raw[place : match.start()]
            place = match.end() + int(match[1])
    return plain + raw[place:]
