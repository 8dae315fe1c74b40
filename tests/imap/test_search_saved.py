"""What a search found, named as "$" (RFC 5182)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc


def saved(client: Client) -> list[int]:
    """The UIDs that "$" stands for."""
    return [int(uid) for uid in client.ok("UID SEARCH UID $").one("SEARCH").values[1:]]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("FETCH $ (UID)", ["1 FETCH (UID 1)", "3 FETCH (UID 3)"]),
        ("UID FETCH $ (UID)", ["1 FETCH (UID 1)", "3 FETCH (UID 3)"]),
        ("SEARCH $ 2:3", ["SEARCH 3"]),
        ("UID SEARCH OR $ 2", ["SEARCH 1 2 3"]),
        ("UID SEARCH NOT UID $", ["SEARCH 2"]),
        (
            "STORE $ +FLAGS (\\Deleted)",
            ["1 FETCH (FLAGS (\\Deleted \\Recent))", "3 FETCH (FLAGS (\\Deleted \\Recent))"],
        ),
        ("UID STORE $ FLAGS.SILENT ()", []),
        ("COPY $ Archive", []),
        ("UID COPY $ Archive", []),
        ("MOVE $ Archive", ["OK [COPYUID *] Moved", "3 EXPUNGE", "1 EXPUNGE", "1 RECENT"]),
        ("UID MOVE $ Archive", ["OK [COPYUID *] Moved", "3 EXPUNGE", "1 EXPUNGE", "1 RECENT"]),
        ("UID EXPUNGE $", []),
    ],
)
def test_every_set_can_be_the_result(mail: ImapBench, command: str, told: list[str]) -> None:
    client = mail.select()
    client.ok("UID SEARCH RETURN (SAVE) NOT 2")
    lines = client.told(client.ok(command))
    assert ["OK [COPYUID *] Moved" if "COPYUID" in line else line for line in lines] == told


@pytest.mark.parametrize("uid", ["", "UID "])
@pytest.mark.parametrize(
    "command",
    ["FETCH $ FLAGS", "STORE $ FLAGS ()", "COPY $ Archive", "MOVE $ Archive", "EXPUNGE $"],
)
def test_an_empty_result_is_a_set(mail: ImapBench, uid: str, command: str) -> None:
    """Before any search, and after one that found nothing."""
    if not uid and "EXPUNGE" in command:
        return
    client = mail.select()
    assert client.told(client.ok(uid + command)) == []
    client.ok("SEARCH RETURN (SAVE) ALL")
    client.ok("SEARCH RETURN (SAVE) KEYWORD none")
    assert client.told(client.ok(uid + command)) == []


RETURNS = [
    ("SAVE", "", [1, 2, 4, 5]),
    ("SAVE ALL", " ALL 1:2,4:5", [1, 2, 4, 5]),
    ("SAVE COUNT", " COUNT 4", [1, 2, 4, 5]),
    ("SAVE MIN", " MIN 1", [1]),
    ("MAX SAVE", " MAX 5", [5]),
    ("SAVE MIN MAX", " MIN 1 MAX 5", [1, 5]),
    ("SAVE MIN COUNT", " MIN 1 COUNT 4", [1, 2, 4, 5]),
    ("MAX SAVE ALL MIN", " MAX 5 ALL 1:2,4:5 MIN 1", [1, 2, 4, 5]),
    ("SAVE PARTIAL 2:3", " PARTIAL (2:3 2,4)", [2, 4]),
    ("SAVE PARTIAL -1:-2", " PARTIAL (-1:-2 4:5)", [4, 5]),
    ("SAVE PARTIAL 2:3 MIN", " PARTIAL (2:3 2,4) MIN 1", [1, 2, 4]),
    ("SAVE PARTIAL 2:3 MAX", " PARTIAL (2:3 2,4) MAX 5", [2, 4, 5]),
    ("SAVE PARTIAL 2:2 MIN MAX", " PARTIAL (2:2 2) MIN 1 MAX 5", [1, 2, 5]),
    ("SAVE PARTIAL 9:8", " PARTIAL (9:8 NIL)", []),
    ("SAVE PARTIAL 2:2 COUNT MIN", " PARTIAL (2:2 2) COUNT 4 MIN 1", [1, 2, 4, 5]),
]


@rfc("5182", "2.1", 1)
@rfc("5182", "2.4", 1)
@pytest.mark.parametrize(("options", "told", "kept"), RETURNS)
def test_what_is_saved_depends_on_what_is_told(
    mail: ImapBench, options: str, told: str, kept: list[int]
) -> None:
    """RFC 5182 §2.4, RFC 9394 §3.2; SAVE alone tells nothing (RFC 5182 §1)."""
    mail.put("alice", *MESSAGES[:2])
    client = mail.select()
    answer = client.ok(f"SEARCH RETURN ({options}) NOT 3")
    wanted = [f'ESEARCH (TAG "{answer.tagged.tag}"){told}'] if told else []
    assert client.told(answer) == wanted
    assert saved(client) == kept


@rfc("9051", "6.4.4.1", 1)
@rfc("5182", "2.1", 2)
@pytest.mark.parametrize(
    ("command", "status", "kept"),
    [
        ("SEARCH RETURN (SAVE) FROB", "BAD", [1, 2]),
        ("SEARCH RETURN (SAVE) CHARSET X-UNKNOWN ALL", "NO", []),
        ("SEARCH CHARSET X-UNKNOWN ALL", "NO", [1, 2]),
        ("SEARCH RETURN (ALL) 3", "OK", [1, 2]),
        ("SEARCH 3", "OK", [1, 2]),
        ("SEARCH RETURN (SAVE) NOT $", "OK", [3]),
        ("SEARCH RETURN (SAVE) CHARSET UTF-8 SUBJECT {1+}\r\n\xff", "NO", []),
    ],
)
def test_when_the_result_changes(
    mail: ImapBench, command: str, status: str, kept: list[int]
) -> None:
    """RFC 5182 §2.1: only with SAVE, and not by what is BAD."""
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) 1:2")
    assert client.command(command.encode("latin-1")).status == status
    assert saved(client) == kept


def test_select_forgets(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) ALL")
    client.ok("EXAMINE INBOX")
    assert saved(client) == []
    client.ok("SEARCH RETURN (SAVE) ALL")
    client.ok("UNSELECT")
    client.ok("SELECT INBOX")
    assert saved(client) == []


@rfc("9051", "6.4.4.1", 2)
@rfc("5182", "2.1", 3)
def test_expunged_messages_leave_and_new_ones_do_not_come_in(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) ALL")
    client.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    mail.put("alice", *MESSAGES)
    client.ok("NOOP")
    assert saved(client) == [1]
    assert client.told(client.ok("FETCH $ UID")) == ["1 FETCH (UID 1)"]


def test_the_result_goes_on_in_another_process(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) NOT 2")
    client = mail.resume(client)
    assert saved(client) == [1, 3]


@rfc("9051", "6.4.4.2", 1)
@rfc("5182", "2.3", 1)
def test_commands_that_follow_at_once(mail: ImapBench) -> None:
    client = mail.select()
    found, fetched, stored = client.pipeline(
        [
            "SEARCH RETURN (SAVE) NOT 2",
            "FETCH $ UID",
            "UID STORE $ +FLAGS.SILENT (\\Seen)",
        ]
    )
    assert found.untagged == []
    assert set(fetched.fetched()) == {1, 3}
    assert stored.status == "OK"
    assert client.ok("SEARCH SEEN").one("SEARCH").values[1:] == ["1", "3"]


@rfc("9051", "6.4.4.3", 1)
@rfc("5182", "2.5", 1)
@rfc("5182", "3", 1)
def test_too_many_ranges_are_refused(mail: ImapBench) -> None:
    mail.configure(saved_ranges=2)
    mail.put("alice", *MESSAGES)
    client = mail.select()
    client.ok("SEARCH RETURN (SAVE) 1:2,4:5")
    assert saved(client) == [1, 2, 4, 5]
    answer = client.no("SEARCH return (save COUNT) 1,3,5")
    assert (answer.code, answer.untagged) == ("NOTSAVED", [])
    assert saved(client) == []


def test_a_dollar_stands_alone(mail: ImapBench) -> None:
    """RFC 5182 §3: it is a whole set, and no part of one."""
    client = mail.select()
    for text in ("$,1", "1,$", "$:3", "$x", "1:$"):
        client.bad(f"FETCH {text} UID")
        client.bad(f"SEARCH {text}")
        client.bad(f"SEARCH UID {text}")
