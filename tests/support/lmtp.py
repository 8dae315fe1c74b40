"""LMTP (RFC 2033): smtplib speaks it but for its one difference, a reply for each recipient."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence

from .imap import Address


class Lmtp(smtplib.LMTP):
    """A connection that has said LHLO."""

    def __init__(self, address: Address) -> None:
        if isinstance(address, str):
            super().__init__(address, local_hostname="client.example")
        else:
            super().__init__(*address, local_hostname="client.example", timeout=20)
        self.ehlo_or_helo_if_needed()

    def deliver(
        self, recipients: Sequence[str], message: bytes, sender: str = "s@example.org"
    ) -> dict[str, int]:
        """One transaction; returns the last reply code of each recipient."""
        assert self.mail(sender)[0] == 250
        codes = {name: self.rcpt(name)[0] for name in recipients}
        accepted = [name for name in recipients if codes[name] == 250]
        if not accepted:
            self.rset()
            return codes
        assert self.docmd("DATA")[0] == 354
        quoted = b"\r\n" + message.rstrip(b"\r\n") + b"\r\n"
        self.send(quoted.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        for name in accepted:
            codes[name] = self.getreply()[0]
        return codes


def deliver(address: Address, recipients: Sequence[str], message: bytes) -> dict[str, int]:
    """Deliver over a connection of its own."""
    with Lmtp(address) as lmtp:
        return lmtp.deliver(recipients, message)
