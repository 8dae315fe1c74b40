"""Sessions of LMTP over socket pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.lmtp.record import LmtpRecord
from pymaild.lmtp.session import LmtpSession
from pymaild.lmtp.settings import LmtpSettings
from tests.support.sessions import Bench, Running, bench


@pytest.fixture
def lmtp(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, (LmtpRecord, LmtpSession), LmtpSettings()) as made:
        made.add_user("alice", "bob")
        yield made


def ready(bench: Bench) -> Running:
    """A session after LHLO."""
    session = bench.start()
    assert session.line().startswith(b"220 ")
    session.send(b"LHLO client.example.org\r\n")
    while session.line()[3:4] == b"-":
        pass
    return session


def with_recipients(bench: Bench, *names: str) -> Running:
    """A session after MAIL and RCPT."""
    session = ready(bench)
    assert session.ask(b"MAIL FROM:<sender@example.org>").startswith(b"250 ")
    for name in names:
        assert session.ask(f"RCPT TO:<{name}@example.org>".encode()).startswith(b"250 ")
    return session


def mailbox(bench: Bench, user: str, folder: str = "INBOX") -> list[bytes]:
    """All messages of a mailbox in CRLF form."""
    with bench.account(user).open(folder) as opened:
        opened.refresh()
        view = opened.view()
        sources = [opened.message(view, n).section((), "") for n in range(1, len(view) + 1)]
        return [b"".join(source.pieces()) for source in sources if source is not None]


def body(message: bytes) -> bytes:
    """What the sender sent: without the header lines that delivery adds."""
    lines = message.split(b"\r\n")
    assert lines[0].startswith(b"Return-Path: <")
    assert lines[1].startswith(b"Delivered-To: ")
    assert lines[2].startswith(b"Received: ")
    return b"\r\n".join(lines[5:])
