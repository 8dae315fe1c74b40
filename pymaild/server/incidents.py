"""Keeps what sessions had received when processes died of it, for who looks into that."""

from __future__ import annotations

import logging
import os
import time
from contextlib import closing

from pymaild.core.session import SessionRecord

log = logging.getLogger("pymaild.server")

MOST = 100  # files; who does not look at them need not have more


class Incidents:
    """Files in ``folder``, which only the mail user can read. "" keeps none."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def add(self, record: SessionRecord, data: bytes) -> None:
        """Log that processes died, and keep ``data``, which has no passwords in it."""
        user = record.user.name if record.user else ""
        where = self._keep(f"{time.time():.0f}-{record.protocol}-{record.id}", data)
        log.error(
            "session=%s protocol=%s user=%r: processes have died of this command; %s",
            record.id,
            record.protocol,
            user,
            where,
        )

    def _keep(self, name: str, data: bytes) -> str:
        """Returns for the log what became of it."""
        if not self._folder or not data:
            return "its input is not kept"
        path = os.path.join(self._folder, name)
        try:
            if len(os.listdir(self._folder)) >= MOST:
                return f"its input is not kept, as {self._folder} is full"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with closing(os.fdopen(fd, "wb")) as file:
                file.write(data)
        except OSError as error:
            return f"its input cannot be kept: {error}"
        return f"its input is in {path}"
