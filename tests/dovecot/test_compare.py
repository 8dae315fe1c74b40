"""The same Maildir served by both: every answer is the same, or the difference is explained.

Messages are known by their INTERNALDATE, which is the time of the file: so the order in which
a server gives UIDs does not matter, and INTERNALDATE is compared with everything else.
"""

from __future__ import annotations

import calendar
import time
from collections import Counter
from typing import Any

import pytest

from tests.support import corpus
from tests.support.dovecot import Dovecot, needs_dovecot
from tests.support.imap import Imap
from tests.support.instance import Instance

from .conftest import BASE
from .differences import TABLE, explain

pytestmark = needs_dovecot

Values = dict[int, dict[str, Any]]

MIME = len(corpus.mime_mail())
ITEMS = {
    "structure": "(RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)",
    "headers": "(BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (Subject FROM x-none received)] "
    "BODY.PEEK[HEADER.FIELDS.NOT (Subject From)] RFC822.HEADER)",
    "whole": "(BODY.PEEK[] BODY.PEEK[TEXT] BODY.PEEK[]<10.300> BODY.PEEK[TEXT]<5.7>)",
}
SECTIONS = ("1", "1.MIME", "1.HEADER", "1.TEXT", "1.1", "1.1.MIME", "1.2", "2", "2.MIME")
DEEPER = ("2.HEADER", "2.TEXT", "2.1", "2.1.MIME", "2.1.1", "2.2", "2.2.HEADER", "3", "3.1", "99")


def read(client: Imap, items: str) -> Values:
    """FETCH of every message: by number of the message in the corpus."""
    client.ok("EXAMINE INBOX")
    items = items.replace("(", "(INTERNALDATE ", 1)
    found = client.ok(f"FETCH 1:* {items}").fetched().values()
    return {_number(values.pop("INTERNALDATE")): values for values in found}


def _number(date: bytes) -> int:
    parsed = time.strptime(date.decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    return calendar.timegm(parsed) - parsed.tm_gmtoff - BASE


def compare(pair: tuple[Instance, Dovecot], items: str) -> None:
    """Ask both and fail with the first unexplained differences."""
    mine, other = pair
    with mine.client("alice", 120) as ours, other.client("alice", 120) as theirs:
        answers = read(ours, items), read(theirs, items)
    messages = (*corpus.mime_mail(), *corpus.list_mail())
    assert sorted(answers[0]) == sorted(answers[1]) == list(range(len(messages)))
    left: list[str] = []
    for number, message in enumerate(messages):
        for item, value in answers[1][number].items():
            got = answers[0][number].get(item, "(not sent)")
            if got != value and not explain(item, message, got, value):
                left.append(
                    f"message {number} {item}:\n  pymaild {got!r:.600}\n  dovecot {value!r:.600}"
                )
    kinds = Counter(text.split(":")[0].split(" ")[2] for text in left)
    assert not left, f"{len(left)} differences without a reason, {kinds}:\n" + "\n".join(left[:8])


@pytest.mark.parametrize("kind", sorted(ITEMS))
def test_fetch(pair: tuple[Instance, Dovecot], kind: str) -> None:
    """ENVELOPE, BODYSTRUCTURE, sizes, dates, headers and bodies of the whole corpus."""
    compare(pair, ITEMS[kind])


@pytest.mark.parametrize("sections", [SECTIONS, DEEPER], ids=["outer", "inner"])
def test_sections(pair: tuple[Instance, Dovecot], sections: tuple[str, ...]) -> None:
    """Parts by number, their MIME headers, and what stands inside forwarded messages."""
    compare(pair, "(" + " ".join(f"BODY.PEEK[{section}]" for section in sections) + ")")


SEARCHES = (
    "ALL",
    "SUBJECT index",
    "FROM timo",
    "HEADER Message-ID example",
    'HEADER X-Mailer ""',
    "LARGER 20000",
    "SMALLER 1000",
    "BEFORE 13-Sep-2020",
    "SINCE 13-Sep-2020",
    "ON 13-Sep-2020",
    "SENTBEFORE 1-Jan-2004",
    "SENTSINCE 1-Jan-2004",
    "SENTON 24-Jul-2002",
    "OR SUBJECT maildir SUBJECT mbox",
    "NOT SUBJECT re",
    "UNSEEN",
    "BODY segfault",
    'TEXT "index file"',
)


@pytest.mark.parametrize("search", SEARCHES)
def test_search(pair: tuple[Instance, Dovecot], search: str) -> None:
    """Both find the same messages."""
    found = []
    for server in pair:
        with server.client("alice", 120) as client:
            dates = read(client, "(UID)")
            numbers = {str(values["UID"]): number for number, values in dates.items()}
            uids = client.ok(f"UID SEARCH {search}").one("SEARCH").values[1:]
            found.append({numbers[uid] for uid in uids})
    ours, theirs = found
    messages = (*corpus.mime_mail(), *corpus.list_mail())
    left = [
        (number, number in ours, messages[number][:300])
        for number in sorted(ours ^ theirs)
        if not explain(f"SEARCH {search}", messages[number], number in ours, number in theirs)
    ]
    assert not left, f"(message, found by pymaild): {left[:5]}, {len(left)} in all"


@pytest.mark.skipif(not corpus.SHARED.exists(), reason="only the whole corpus has all of them")
def test_every_reason_is_needed(pair: tuple[Instance, Dovecot]) -> None:
    """A row of the table that explains nothing any more has to go."""
    used: set[str] = set()
    messages = (*corpus.mime_mail(), *corpus.list_mail())
    mine, other = pair
    with mine.client("alice", 120) as ours, other.client("alice", 120) as theirs:
        for items in (ITEMS["structure"], ITEMS["headers"], "(BODY.PEEK[1.1] BODY.PEEK[99])"):
            answers = read(ours, items), read(theirs, items)
            for number, message in enumerate(messages):
                for item, value in answers[1][number].items():
                    used.update(explain(item, message, answers[0][number][item], value))
    unused = {row.reason for row in TABLE if not row.items.startswith("SEARCH")} - used
    assert not unused
