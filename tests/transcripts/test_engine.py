"""The engine of transcripts fails when it should, and reads what its docstring says."""

from __future__ import annotations

import pytest

from tests.support.instance import Instance
from tests.support.script import BadScript, parse
from tests.support.transcript import Differs, Player

OPENED = """
mail INBOX
connect A alice
A> a SELECT INBOX
A< ...
A< a OK ...
"""


def play(server: Instance, text: str) -> Player:
    """Play a script for new users."""
    player = Player(server, "pymaild", f"engine-{len(server.users)}")
    player.play(parse(text))
    return player


def asked(*replies: str, command: str = "FETCH 1 (UID FLAGS)") -> str:
    said = "\n".join(f"A< {reply}" for reply in replies)
    return f"{OPENED}A> b {command}\n{said}\nA> c NOOP\nA< c OK ...\n"


RIGHT = [
    ["* 1 FETCH (UID {uid} FLAGS (\\Recent))", "b OK ..."],
    ["* 1 FETCH any(FLAGS (\\Recent)|UID {uid})", "b OK ..."],
    ["* 1 FETCH (UID ... (\\Recent))", "b OK ..."],
    ["...", "b OK ..."],
    ["{", "b OK ...", "* 1 FETCH (...)", "}"],
    ["{", "b OK ...", "...", "}"],
]
WRONG = [
    ["* 1 FETCH (UID {uid} FLAGS (\\Seen))", "b OK ..."],
    ["* 1 FETCH (UID {uid} FLAGS (\\Recent)", "b OK ..."],
    ["* 1 FETCH any(FLAGS (\\Recent)|UID {uid}|RFC822.SIZE 1)", "b OK ..."],
    ["b OK ..."],
    ["* 1 FETCH (...)", "b NO ..."],
    ["* 1 FETCH (...)", "...", "b NO ..."],
    ["...", "* 2 EXISTS", "b OK ..."],
    ["{", "* 1 FETCH (...)", "* 2 EXISTS", "}", "b OK ..."],
    ["* 1 FETCH (UID {uid} FLAGS ({uid}))", "b OK ..."],
    ["* 1 FETCH (UID {uid} FLAGS (...))", "b OK {uid+1} ..."],
]


@pytest.mark.parametrize("replies", RIGHT, ids=range(len(RIGHT)))
def test_what_is_said_is_accepted(shared: Instance, replies: list[str]) -> None:
    play(shared, asked(*replies))


@pytest.mark.parametrize("replies", WRONG, ids=range(len(WRONG)))
def test_what_is_not_said_is_noticed(shared: Instance, replies: list[str]) -> None:
    with pytest.raises(Differs):
        play(shared, asked(*replies))


LITERAL = """
connect A alice
A> a APPEND INBOX {}
| X: \\x41
|
| %s
A< a OK [APPENDUID {validity} {uid}] ...
A> b SELECT {5+}
| INBOX
A< ...
A< b OK ...
A> c UID FETCH {uid} (BODY.PEEK[] UID)
A< * 1 FETCH (UID {uid} BODY[] {}
| X: A
|
| body
> )
A< c OK ...
A> d UID FETCH {uid+7} (UID)
A< d OK ...
A> e APPEND INBOX {}
| ...
A< ...
A< e OK [APPENDUID {validity} {uid+1}] ...
"""


def test_literals_and_variables(shared: Instance) -> None:
    script = LITERAL.replace("{5+}", "{+}")
    assert int(play(shared, script % "body").values["uid"]) > 0
    with pytest.raises(Differs):
        play(shared, script % "Body")
    with pytest.raises(Differs):
        play(shared, script.replace("{uid+1}", "{uid+2}") % "body")


def test_a_literal_that_is_not_wanted(shared: Instance) -> None:
    play(shared, "connect A alice\nA> a FROB {}\n| x\n> y\nA< a BAD ...\nA> b NOOP\nA< b OK ...\n")


def test_replies_that_nobody_expected(shared: Instance) -> None:
    with pytest.raises(Differs):
        play(shared, "connect A alice\nmailbox x\nA> a APPEND x {}\n| x\n")
    with pytest.raises(Differs):
        play(shared, asked("...", "b OK ...") + "A> d NOOP\nA< ...\n")
    play(shared, asked("...", "b OK ...") + "A> d LOGOUT\nA< * BYE ...\nA< d OK ...\n")
    with pytest.raises(Differs):
        play(shared, "connect A alice\nA> a FROB {}\n| x\nclose A\n")


def test_pop3(shared: Instance) -> None:
    said = "P> USER {alice}\nP< +OK ...\nP> PASS {password}\nP< +OK ...\nP> UIDL\nP< +OK ...\n"
    opened = f"mail INBOX\nconnect P pop3\nP< +OK ...\n{said}"
    play(shared, opened + "P< 1 {id}\nP< .\nP> UIDL 1\nP< +OK 1 {id}\n")
    with pytest.raises(Differs):
        play(shared, opened + "P< 2 {id}\n")


def test_lines_for_one_server(shared: Instance) -> None:
    asks = "connect A alice\nA> a NOOP\nnote they say other things\n"
    play(shared, asks + "[dovecot] A< a NO ...\n[pymaild] A< a OK ...\n")
    with pytest.raises(Differs):
        play(shared, asks + "[pymaild] A< a NO ...\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but this\n",
        "conect A alice\n",
        "connect\n",
        "A> a NOOP\n[dovecot] A< a OK\n",
        "note x\n",
        "without dovecot\n",
        "proves nothing\n",
        "A> a NOOP\n| literal\n",
        "A> a NOOP\n> more\n",
        "| literal\n",
    ],
)
def test_scripts_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadScript):
        parse(text)


def test_a_block_without_end(shared: Instance) -> None:
    with pytest.raises(BadScript):
        play(shared, asked("{", "b OK ..."))
