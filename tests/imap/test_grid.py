"""The grid: every command in every state, with good and with missing arguments (RFC 3501 §3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymaild.core.session import Ending
from pymaild.imap.commands import COMMANDS
from pymaild.imap.states import AUTH, NONAUTH, SELECT, State
from tests.imap.conftest import Client, ImapBench

#: Arguments that each command accepts; the grid fails when a command has none here.
ARGUMENTS = {
    "CAPABILITY": "",
    "NOOP": "",
    "UIDBATCHES": " 500",
    "LOGOUT": "",
    "LANGUAGE": " de",
    "ID": " NIL",
    "STARTTLS": "",
    "AUTHENTICATE": " PLAIN AGFsaWNlAHNlY3JldA==",
    "LOGIN": " alice secret",
    "COMPRESS": " DEFLATE",
    "ENABLE": " X-NOTHING",
    "COMPARATOR": " i;octet",
    "UNAUTHENTICATE": "",
    "SELECT": " INBOX",
    "EXAMINE": " INBOX",
    "CREATE": " made",
    "DELETE": " Archive",
    "RENAME": " Archive Old",
    "SUBSCRIBE": " INBOX",
    "UNSUBSCRIBE": " INBOX",
    "LIST": ' "" *',
    "LSUB": ' "" *',
    "XLIST": ' "" *',
    "NAMESPACE": "",
    "STATUS": " INBOX (MESSAGES)",
    "SETACL": " INBOX bob lr",
    "DELETEACL": " INBOX bob",
    "GETACL": " INBOX",
    "LISTRIGHTS": " INBOX bob",
    "MYRIGHTS": " INBOX",
    "GETQUOTA": " #user/alice",
    "GETQUOTAROOT": " INBOX",
    "SETQUOTA": " #user/alice (STORAGE 512)",
    "GETMETADATA": " INBOX /private/comment",
    "SETMETADATA": ' INBOX (/private/comment "x")',
    "APPEND": " INBOX {12+}\r\nA: b\r\n\r\nbody",
    "NOTIFY": " NONE",
    "IDLE": "\r\nDONE",
    "CHECK": "",
    "CLOSE": "",
    "UNSELECT": "",
    "EXPUNGE": "",
    "UID EXPUNGE": " 1",
    "SEARCH": " ALL",
    "UID SEARCH": " ALL",
    "ESEARCH": " IN (personal) ALL",
    "SORT": " (SUBJECT) UTF-8 ALL",
    "UID SORT": " (SUBJECT) UTF-8 ALL",
    "THREAD": " REFERENCES UTF-8 ALL",
    "UID THREAD": " REFERENCES UTF-8 ALL",
    "CANCELUPDATE": ' "x"',
    "FETCH": " 1 FLAGS",
    "UID FETCH": " 1 FLAGS",
    "STORE": " 1 +FLAGS \\Seen",
    "UID STORE": " 1 +FLAGS \\Seen",
    "COPY": " 1 Archive",
    "UID COPY": " 1 Archive",
    "REPLACE": " 1 INBOX {12+}\r\nA: b\r\n\r\nbody",
    "UID REPLACE": " 1 INBOX {12+}\r\nA: b\r\n\r\nbody",
    "MOVE": " 1 Archive",
    "UID MOVE": " 1 Archive",
}

#: What means something without arguments too.
ALSO_BARE = {"LANGUAGE", "COMPARATOR"}

#: Where a command leads; all others stay where they are.
LEADS = {
    "LOGOUT": None,
    "STARTTLS": None,
    "AUTHENTICATE": State.AUTHENTICATED,
    "LOGIN": State.AUTHENTICATED,
    "SELECT": State.SELECTED,
    "EXAMINE": State.SELECTED,
    "CLOSE": State.AUTHENTICATED,
    "UNSELECT": State.AUTHENTICATED,
    "UNAUTHENTICATE": State.NOT_AUTHENTICATED,
}

#: Not possible without a server around the session; the tests named are with one.
ELSEWHERE = {"COMPRESS": "tests/server/test_compress.py"}

STATES = (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED)


def in_state(bench: ImapBench, state: State) -> Client:
    """A session in ``state``; for the selected one a message is there to work on.

    Its user is an administrator, who may do what every command is for.
    """
    bench.mail = replace(bench.mail, admins=("alice",))
    client = bench.connect()
    if state in AUTH:
        client.ok("LOGIN alice secret")
    if state in SELECT:
        client.ok("SELECT INBOX")
    return client


def present(client: Client) -> State:
    """The state that a session behaves as being in."""
    if client.command("CHECK").status == "OK":
        return State.SELECTED
    if client.command("NAMESPACE").status == "OK":
        return State.AUTHENTICATED
    return State.NOT_AUTHENTICATED


def test_the_grid_knows_every_command() -> None:
    assert set(ARGUMENTS) == {row.name for row in COMMANDS.values()}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_command_in_state(mail: ImapBench, name: str, state: State) -> None:
    row = COMMANDS[name.encode()]
    client = in_state(mail, state)
    # What is not possible here is said before a literal or DONE would be read as a command.
    text = name + ARGUMENTS[name]
    if state not in row.states or name in ELSEWHERE:
        text = text.removesuffix("\r\nDONE")
        assert client.command(text).status == "BAD"
        assert present(client) == state
        return
    client.ok(text)
    leads = LEADS.get(name, state)
    if leads is None:
        assert client.wait() in (Ending.CLOSED, Ending.TLS)
    else:
        assert present(client) == leads
        assert client.record.state == leads


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_command_with_wrong_arguments_is_bad(mail: ImapBench, name: str) -> None:
    """RFC 3501 §7.1.3: BAD, and nothing else happens."""
    row = COMMANDS[name.encode()]
    state = State.NOT_AUTHENTICATED if row.states == NONAUTH else State.SELECTED
    client = in_state(mail, state)
    wrong = [
        f"{name} ",
        f"{name}  x",
        f"{name} ()x",
        f'{name} "',
        f"{name} (",
        f"{name} {{1+}}\r\n\0",
    ]
    good = ARGUMENTS[name].removesuffix("\r\nDONE")
    wrong += [f"{name}{good} x y (z)"] if good else [f"{name} x"]
    wrong += [name] if good and name not in ALSO_BARE else []
    for text in wrong:
        assert client.command(text).status == "BAD", text
        client.ok("NOOP")
    assert present(client) == state


@pytest.mark.parametrize(
    "text", ["FROB", "UID", "UID NOOP", "UID FROB 1", "X-THING", "(NOOP)", '"NOOP"']
)
@pytest.mark.parametrize("state", STATES)
def test_unknown_command_is_bad(mail: ImapBench, text: str, state: State) -> None:
    client = in_state(mail, state)
    client.bad(text)
    assert present(client) == state


def test_commands_match_in_any_case(mail: ImapBench) -> None:
    """RFC 3501 §9, note 1."""
    client = mail.connect()
    client.ok("lOgIn alice secret")
    client.ok("select inbox")
    client.ok("uid fetch 1 (flags body.peek[header.fields (subject)])")
    client.ok("search unseen or from ann subject one")


@pytest.mark.parametrize(
    "line", [b"\r\n", b" \r\n", b"* NOOP\r\n", b"a+ NOOP\r\n", b"tag\r\n", b"(\r\n"]
)
def test_line_without_a_command_is_bad(mail: ImapBench, line: bytes) -> None:
    client = mail.connect()
    client.send(line)
    reply = client.read()
    assert reply.name == "BAD"
    client.ok("NOOP")


def test_too_many_faulty_commands_in_a_row_end_the_connection(imap: ImapBench) -> None:
    imap.configure(max_bad=5)
    client = imap.connect()
    for _ in range(4):
        client.bad("FROB")
    client.ok("NOOP")
    for _ in range(5):
        client.bad("FROB")
    assert client.read().name == "BYE"
    assert client.ended()
    assert client.wait() is Ending.CLOSED
