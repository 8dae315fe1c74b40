"""The server that clients meet: pymaild, or Dovecot to prove that the client's side is right."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import corpus, maildir
from tests.support.dovecot import dovecot
from tests.support.instance import instance
from tests.support.place import give, place

MESSAGES = 12


def messages() -> tuple[bytes, ...]:
    """A dozen messages that every client can carry."""
    return corpus.list_mail(MESSAGES)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server with user alice, her INBOX filled, a folder and a subscription of it."""
    users = {"alice": "secret", "bob": "hidden", "carol@example.org": "third"}
    make = dovecot if request.config.getoption("--server") == "dovecot" else instance
    with make(users) as served:
        inbox = maildir.make(served.maildir("alice"))
        corpus.save(inbox, messages())
        corpus.save(maildir.make(inbox / ".Lists"), corpus.mime_mail()[:8], 100)
        (inbox / "subscriptions").write_text("Lists\n")
        give(served.maildir("alice").parent)
        served.start()
        yield served


@pytest.fixture
def home() -> Iterator[Path]:
    """The home directory of a client, owned by the user it runs as."""
    with place("hm") as folder:
        yield folder


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    found = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin")
    return pytest.mark.skipif(found is None, reason=f"{program} is not installed")
