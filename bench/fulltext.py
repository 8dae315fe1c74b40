"""What the index of the full text costs and saves.

Run as ``python -m bench.fulltext [--messages N]``: a mailbox of the corpus, repeated with small
differences, searched by reading it and with the index. ``--engines`` compares SQLite's FTS5 in its
forms, and tantivy where it is installed, on the same texts: how long they take to build (processor
time), to ask, to add one message; octets for each message, memory.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pymaild.core.session import User
from pymaild.index import fulltext as store
from pymaild.mail import fulltext
from pymaild.mail.account import Account
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from pymaild.mime.text import fold
from tests.support import corpus, maildir

WORDS = ("index", "dovecot-1.0-test", "maildir corrupt", "segmentation fault", "zqxj", "the ")
FORMS = {"fts5 none": "none", "fts5 full": "full"}


def fill(folder: Path, count: int) -> None:
    """The list's mail, again and again, each message with a line of its own."""
    maildir.make(folder)
    mail = [message.replace(b"\r\n", b"\n") for message in corpus.list_mail()]
    for number in range(count):
        extra = b"\nX-%x-%x\n" % (number * 7919 % 1000003, number)
        name = f"1700000000.M{number}P1.bench:2,S"
        (folder / "cur" / name).write_bytes(mail[number % len(mail)] + extra)


@contextlib.contextmanager
def mailbox(count: int) -> Iterator[Mailbox]:
    """A mailbox with so many messages, below a directory that goes again."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count)
        account = Account(User("alice", mail=folder), MailSettings(fsync=False, fulltext=1))
        with account.open("INBOX") as box:
            yield box


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time in seconds, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _matches(box: Mailbox, word: str, seqs: Any) -> int:
    view = box.view()
    read = (box.message(view, seq).search_text(True) for seq in seqs)
    return sum(any(word in fold(piece) for piece in pieces) for pieces in read)


def of_mailbox(count: int) -> None:
    """Print what a mailbox's index costs and saves."""
    with mailbox(count) as box:

        def make() -> None:
            while fulltext.extend(box, lambda: None):
                pass

        taken, _ = timed(make)
        report = fulltext.report(box)
        print(f"{count} messages: {taken:.1f} s, {report.size / count:.0f} octets each")
        view = box.view()
        for word in map(fold, WORDS):
            asked, found = timed(lambda word=word: fulltext.possible(box, view, word))
            rest, matched = timed(lambda word=word, found=found: _matches(box, word, found))
            line = f"{asked * 1e3:7.1f} ms, {len(found):7d} are read in {rest:6.2f} s"
            print(f"  {word:20s} {line}, {matched} match")


def of_engines(count: int) -> None:
    """Print what engines make of the same texts."""
    with mailbox(min(count, 3240)) as box:
        view = box.view()
        texts = [fulltext._text(box.message(view, seq)) or "" for seq in range(1, len(view) + 1)]
    all_texts = [f"{texts[n % len(texts)]}\n{n * 7919 % 1000003:X}" for n in range(count)]
    for name, detail in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            _show(name, Path(folder), all_texts, *_sqlite(Path(folder), detail))
    with contextlib.suppress(ImportError), tempfile.TemporaryDirectory() as folder:
        _show("tantivy", Path(folder), all_texts, *_tantivy(Path(folder)))


def _show(name: str, folder: Path, texts: list[str], add: Any, finish: Any, ask: Any) -> None:
    def build() -> None:
        for uid, text in enumerate(texts, 1):
            add(uid, text)
        finish()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken, _ = timed(build)
    size = sum(path.stat().st_size for path in folder.rglob("*")) / len(texts)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    asked = [timed(lambda word=word: ask(fold(word)))[0] * 1e3 for word in WORDS]

    def one() -> None:
        add(len(texts) + 1, texts[0])
        finish()

    again, _ = timed(one)
    times = " ".join(f"{each:.1f}" for each in asked)
    print(f"{name:10s} {taken:6.2f} s, {size:5.0f} octets each, +{memory:.0f} MiB")
    print(f"           asked in ms: {times}; one more: {again * 1e3:.1f} ms")


def _sqlite(folder: Path, detail: str) -> tuple[Any, Any, Any]:
    database = sqlite3.connect(folder / "db", isolation_level=None)
    database.execute("PRAGMA synchronous=off")
    database.execute("PRAGMA journal_mode=off")
    database.execute(store._TABLE.replace("detail=none", f"detail={detail}"))
    database.execute("BEGIN")

    def add(uid: int, text: str) -> None:
        database.execute("INSERT INTO texts(rowid, text) VALUES (?, ?)", (uid, text))

    def finish() -> None:
        database.execute("COMMIT")
        database.execute("VACUUM")
        database.execute("BEGIN")

    def ask(word: str) -> list[Any]:
        query = store._query(word)
        return list(database.execute("SELECT rowid FROM texts WHERE texts MATCH ?", (query,)))

    return add, finish, ask


def _tantivy(folder: Path) -> tuple[Any, Any, Any]:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("uid", stored=True, indexed=True, fast=True)
    builder.add_text_field("text", tokenizer_name="grams", index_option="basic")
    schema = builder.build()
    index = tantivy.Index(schema, path=str(folder))
    grams = tantivy.Tokenizer.ngram(3, 3, False)
    index.register_tokenizer("grams", tantivy.TextAnalyzerBuilder(grams).build())
    writer = index.writer(heap_size=15_000_000, num_threads=1)

    def add(uid: int, text: str) -> None:
        document = tantivy.Document()
        document.add_unsigned("uid", uid)
        document.add_text("text", text)
        writer.add_document(document)

    def finish() -> None:
        writer.commit()

    def ask(word: str) -> list[Any]:
        index.reload()
        terms = {word[at : at + 3] for at in range(len(word) - 2)}
        query = tantivy.Query.boolean_query(
            [
                (tantivy.Occur.Must, tantivy.Query.term_query(schema, "text", term, "basic"))
                for term in terms
            ]
        )
        hits = index.searcher().search(query, limit=1_000_000, count=False).hits
        return index.searcher().fast_field_values("uid", [address for _, address in hits])

    return add, finish, ask


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The full text: what it costs and saves.")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--engines", action="store_true")
    options = parser.parse_args()
    (of_engines if options.engines else of_mailbox)(options.messages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
