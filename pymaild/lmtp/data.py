"""The message of DATA without its transparency dots (RFC 5321 §4.5.2)."""

from __future__ import annotations

_END = b"\r\n.\r\n"


class DataDecoder:
    """Takes what arrives after 354 in pieces of any size, and knows where it ends.

    Only CRLF "." CRLF is the end, and only a dot behind CRLF is taken away: bare CR and bare LF
    are content (RFC 5321 §2.3.8). Keeps four octets at most between two calls. ``begun``: what is
    fed is not the beginning of the message.
    """

    def __init__(self, begun: bool = False) -> None:
        self.done = False
        self.rest = b""  # what came behind the end
        # The end of the command line, before the message's first line.
        self._held = b"" if begun else b"\r\n"
        self._started = begun

    def feed(self, piece: bytes) -> bytes:
        """Return the octets of the message that are certain now."""
        data = self._held + piece
        end = data.find(_END)
        if end < 0:
            kept = _possible_end(data)
            self._held = data[len(data) - kept :]
            content = data[: len(data) - kept]
        else:
            self.done, self._held = True, b""
            self.rest = data[end + len(_END) :]
            content = data[: end + 2]
        return self._begun(content.replace(b"\r\n.", b"\r\n"))

    def _begun(self, content: bytes) -> bytes:
        """Take away the line end that stands for the command line's."""
        if self._started or not content:
            return content
        self._started = True
        return content[2:]


def _possible_end(data: bytes) -> int:
    """How many of the last octets may be the beginning of the end."""
    for length in range(len(_END) - 1, 0, -1):
        if data.endswith(_END[:length]):
            return length
    return 0
