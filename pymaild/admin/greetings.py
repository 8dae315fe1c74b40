"""A few messages for a private instance that has no other mail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cf500f00030101003a7d2e2f0000000049454e44ae426082"
)


class GeneratedMessage:
    """One message; an :class:`~pymaild.admin.incoming.Incoming`."""

    def __init__(self, message: EmailMessage, date: float, flags: set[str]) -> None:
        self.flags = flags
        self.date: float | None = date
        self._octets = message.as_bytes(policy=SMTP)

    def pieces(self) -> Iterator[bytes]:
        """Yield the message."""
        yield self._octets


class GeneratedSource:
    """The messages, oldest first; ``size`` counts them."""

    def __init__(self) -> None:
        self._makers = (_welcome, _answer, _letters, _attachment, _forwarded)
        self.size = len(self._makers)
        self._done = 0

    def position(self) -> int:
        """Return how many messages have been made."""
        return self._done

    def messages(self) -> Iterator[GeneratedMessage]:
        """Yield the messages, an hour apart, the last one now; the first two are read."""
        now = time.time()
        for number, make in enumerate(self._makers):
            date = now - 3600 * (self.size - 1 - number)
            flags = (
                {r"\Seen", r"\Answered"} if number == 0 else {r"\Seen"} if number == 1 else set()
            )
            yield GeneratedMessage(make(date), date, flags)
            self._done += 1


def _start(date: float, subject: str, sender: str = "Post <post@example.org>") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(datetime.fromtimestamp(date, UTC))
    message["From"] = sender
    message["To"] = "Demo <demo@example.org>"
    message["Subject"] = subject
    message["Message-ID"] = make_msgid(domain="example.org")
    return message


def _welcome(date: float) -> EmailMessage:
    message = _start(date, "Welcome")
    message.set_content("This mailbox belongs to a private instance of pymaild.\n")
    return message


def _answer(date: float) -> EmailMessage:
    message = _start(date, "Re: Welcome", "Ada <ada@example.org>")
    message["References"] = "<first@example.org>"
    message["In-Reply-To"] = "<first@example.org>"
    message.set_content("> This mailbox belongs to a private instance.\n\nSo it does.\n")
    return message


def _letters(date: float) -> EmailMessage:
    message = _start(date, "Grüße aus 東京", "Jürgen Ñandú <j@example.org>")
    message.set_content("Äpfel, çédille, Ελλάδα, Москва, 東京 🗼\n", cte="quoted-printable")
    message.add_alternative("<p>Äpfel, <b>東京</b> 🗼</p>\n", subtype="html", cte="base64")
    return message


def _attachment(date: float) -> EmailMessage:
    message = _start(date, "A picture")
    message.set_content("The smallest one there is.\n")
    message.add_attachment(_PIXEL, maintype="image", subtype="png", filename="pünktchen.png")
    return message


_READ = {_welcome: (r"\Seen", r"\Answered"), _answer: (r"\Seen",)}


def _forwarded(date: float) -> EmailMessage:
    message = _start(date, "Fwd: A picture", "Ada <ada@example.org>")
    message.set_content("See below.\n")
    message.add_attachment(_attachment(date))
    return message
