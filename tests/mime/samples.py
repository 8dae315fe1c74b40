"""Sample messages and how the email package reads them."""

from __future__ import annotations

import email
from email.message import Message
from functools import cache

from tests.support import corpus


@cache
def well_formed() -> tuple[tuple[bytes, Message], ...]:
    """Messages in which the email package finds nothing wrong, with its reading."""
    messages = (*corpus.mime_mail(), *corpus.list_mail()[:1000], *corpus.made(60))
    parsed = [(data, email.message_from_bytes(data)) for data in messages]
    return tuple(pair for pair in parsed if not any(part.defects for part in pair[1].walk()))
