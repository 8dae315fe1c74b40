"""Whatever is searched for, there is an answer, and the session goes on."""

from __future__ import annotations

import random

import pytest

from pymaild.imap.search_keys import KEYS
from tests.imap.conftest import ImapBench

WORDS = [
    *(name.decode() for name in KEYS),
    *("(", ")", "1", "2:*", "*", "$", "1,3", "4294967295", "4294967296", "0", "-1:-2", "1:2"),
    *('""', '"x"', "{1+}\r\nx", "{0+}\r\n", "text", "J\u00f6rg", "\\Seen", "a/b", "NIL", "{x"),
    *("1-Jan-2020", '"31-Feb-2020"', "RETURN", "CHARSET", "UTF-8", "UTF-7", "X-NONE", "FUZZY"),
    *("MIN", "MAX", "COUNT", "PARTIAL", "SAVE", "UPDATE", "CONTEXT", "IN", "personal", "selected"),
    *("subtree", "mailboxes", "INBOX", "loop", "all", "shared", "/flags/\\\\seen"),
]
STARTS = [
    *("SEARCH ", "UID SEARCH ", "ESEARCH ", "ESEARCH IN (personal) "),
    *("SEARCH RETURN (UPDATE) ", "UID SEARCH RETURN (SAVE PARTIAL 1:2 MIN) "),
    *("ESEARCH IN (mailboxes (INBOX Archive)) RETURN (COUNT) ", "CANCELUPDATE "),
]


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_answered(mail: ImapBench, seed: int) -> None:
    mail.configure(max_bad=10_000, nesting=10)
    client = mail.select()
    client.ok('SETMETADATA "" (/private/filters/values/loop "OR FILTER loop SEEN")')
    chance = random.Random(seed)
    for _ in range(250):
        words = chance.choices(WORDS, k=chance.randrange(1, 9))
        gap = chance.choice((" ", " ", " ", ""))
        command = chance.choice(STARTS) + gap.join(words).replace("( ", "(").replace(" )", ")")
        answer = client.command(command.encode())
        assert answer.code not in ("SERVERBUG", "CLIENTBUG"), command
        if chance.random() < 0.2:
            client.ok(
                f"STORE {chance.randrange(1, 4)} {chance.choice('+-')}FLAGS (\\Seen \\Flagged)"
            )
    assert client.ok("SEARCH ALL").one("SEARCH").values[1:] == ["1", "2", "3"]
    assert mail.board.counts["bugs"] == 0


def test_keys_nested_as_deep_as_may_be(mail: ImapBench) -> None:
    client = mail.select()
    deep = mail.settings.nesting
    for opening in ("NOT ", "OR SEEN ", "OR NOT SEEN "):
        inner = (deep - 2) // (2 if "NOT SEEN" in opening else 1)
        client.ok(f"SEARCH RETURN (UPDATE COUNT) {opening * inner}SEEN")
    assert client.no(f"SEARCH {'NOT ' * 500}SEEN").code == "LIMIT"
    assert client.no(f"ESEARCH IN (personal) {'NOT ' * 500}SEEN").code == "LIMIT"
    client.ok("STORE 1 +FLAGS (\\Seen)")


def test_long_lists_of_mailboxes_and_tags(mail: ImapBench) -> None:
    client = mail.select()
    names = " ".join(f"x{number}" for number in range(8000))
    assert client.ok(f"ESEARCH IN (mailboxes ({names})) ALL").untagged == []
    client.ok("CANCELUPDATE " + " ".join(f'"x{number}"' for number in range(6000)))
