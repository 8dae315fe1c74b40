"""A message on its way in: bounded, and read to its end whatever becomes of it."""

from __future__ import annotations

from pymaild.core.errors import StorageFailure
from pymaild.lmtp.replies import TOO_BIG, Reply, refusal
from pymaild.mail.spool import Spool


class Intake:
    """Writes to a spool until that fails or the limit is met; then only swallows.

    ``failure`` is the reply that the message has earned, None while it is well.
    """

    def __init__(self, spool: Spool, limit: int) -> None:
        self.spool = spool
        self.failure: Reply | None = None
        self._limit = limit

    def write(self, data: bytes) -> None:
        """Take more of the message."""
        if self.failure is None:
            failure = self._write(data)
            if failure is not None:
                self.refuse(failure)

    def refuse(self, reply: Reply) -> None:
        """Give the message up; what is still to come is swallowed."""
        self.failure = reply
        self.spool.close()

    def _write(self, data: bytes) -> Reply | None:
        if self.spool.size + len(data) > self._limit:
            return TOO_BIG  # RFC 1870 §6.3
        try:
            self.spool.write(data)
        except StorageFailure as failure:
            return refusal(failure, "retry")
        return None

    def close(self) -> None:
        """Let go of the message."""
        self.spool.close()
