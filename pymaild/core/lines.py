"""Lines and octets from a stream, with bounds on all that is kept.

What has been received and not yet used stays in here, so that pipelined input is neither lost
nor scanned twice, and can travel in a session's record.
"""

from __future__ import annotations

import time

from pymaild.core.session import Cause, Stream, Wait

#: An overlong line is read to its end so that the session can go on, but not without limit.
DISCARD = 1024 * 1024


class LineTooLong(Exception):
    """A line exceeds its limit. ``ended`` is false when even its end was not in sight."""

    def __init__(self, ended: bool) -> None:
        super().__init__("line too long")
        self.ended = ended


class LineReader:
    """Cuts a stream into lines, or hands out what is there.

    ``bare_lf`` accepts LF alone as the end of a line; otherwise only CRLF ends one, and a CR or
    LF by itself is a part of the line. ``wait`` is what the session has just waited for: a line
    that had begun before is given no more time than was left.
    """

    def __init__(
        self,
        stream: Stream,
        unread: bytes = b"",
        bare_lf: bool = False,
        wait: Wait | None = None,
    ) -> None:
        self._stream = stream
        self._buffer = bytearray(unread)
        self._end = b"\n" if bare_lf else b"\r\n"
        self._deadline = 0.0
        begun = wait is not None and (unread or wait.cause == Cause.TIME)
        self._left = wait.seconds if wait is not None and begun else 0.0

    @property
    def pending(self) -> bool:
        """Whether octets have been received that nobody has asked for yet."""
        return bool(self._buffer)

    @property
    def behind(self) -> int:
        """How many octets that are."""
        return len(self._buffer)

    @property
    def left(self) -> float:
        """How many seconds there are still for the line to come."""
        return max(self._deadline - time.monotonic(), 0.001)

    def rest(self, timeout: float) -> None:
        """Give the next line so much time, should the session wait before it is read."""
        self._deadline = time.monotonic() + timeout

    def take(self) -> bytes:
        """Return all octets received and not used, and forget them."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def give_back(self, data: bytes) -> None:
        """Put ``data`` in front of what is unread."""
        self._buffer[:0] = data

    def line(self, limit: int, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        """Return the next line without its end; at most ``limit`` octets, end included.

        ``timeout`` bounds the whole line, so that single octets do not keep a session alive.
        ``idle`` is meant for the beginning of the line, ``parks`` for all of it. Raises
        LineTooLong, and whatever ``Stream.read`` raises.
        """
        left, self._left = self._left or timeout, 0.0
        self._deadline = deadline = time.monotonic() + min(left, timeout)
        seen = 0
        while (end := self._buffer.find(self._end, seen)) < 0:
            if len(self._buffer) >= limit:
                raise LineTooLong(self._discard_line(deadline))
            seen = max(len(self._buffer) - len(self._end) + 1, 0)
            self._fill(deadline, idle and not self._buffer, parks)
        return self._cut(end, limit)

    def chunk(self, timeout: float, most: int = 65536) -> bytes:
        """Return 1 to ``most`` octets of a message: those at hand, or the next to arrive."""
        data = self.take() or self._stream.read(timeout, idle=False)
        if len(data) > most:
            self._buffer[:0] = data[most:]
            return data[:most]
        return data

    def _fill(self, deadline: float, idle: bool, parks: bool = False) -> None:
        remaining = max(deadline - time.monotonic(), 0.0)
        self._buffer += self._stream.read(remaining, idle, parks)

    def _cut(self, end: int, limit: int) -> bytes:
        past = end + len(self._end)
        line = bytes(self._buffer[:end])
        del self._buffer[:past]
        if past > limit:
            raise LineTooLong(ended=True)
        return line[:-1] if line.endswith(b"\r") and self._end == b"\n" else line

    def _discard_line(self, deadline: float) -> bool:
        """Drop octets up to the end of the line; false when that is too far away."""
        dropped = 0
        keep = len(self._end) - 1  # the CR of a CRLF that is still to come
        while (end := self._buffer.find(self._end)) < 0:
            if dropped > DISCARD:
                return False
            surplus = len(self._buffer) - keep
            dropped += surplus
            del self._buffer[:surplus]
            self._fill(deadline, idle=False)
        del self._buffer[: end + len(self._end)]
        return True
