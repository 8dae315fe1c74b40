"""Watches certificate files, and opens them for processes that may not."""

from __future__ import annotations

import os

from pymaild.net.settings import TlsSettings
from pymaild.server.channel import Message, close_all
from pymaild.server.failures import CannotStart

_Stamp = tuple[int, int, int, int]


class CertificateWatch:
    """Remembers how the files looked when they were last handed out."""

    def __init__(self, settings: TlsSettings) -> None:
        self._paths = [path for pair in settings.certificates for path in pair.files]
        self._client_ca = bool(settings.client_ca)
        if self._client_ca:
            self._paths.append(settings.client_ca)
        self._seen = self._look()

    def changed(self) -> bool:
        """Whether a file has been replaced or written since the last call."""
        seen, self._seen = self._seen, self._look()
        return seen != self._seen

    def _look(self) -> list[_Stamp | None]:
        return [_stamp(path) for path in self._paths]

    def open(self) -> tuple[Message, list[int]]:
        """Return the message for the tls role and open files. Raises CannotStart."""
        fds: list[int] = []
        try:
            for path in self._paths:
                fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            close_all(fds)
            raise CannotStart(f"tls.certificate: {error.filename}: {error.strerror}") from None
        return {"verb": "certificates", "client_ca": self._client_ca}, fds


def _stamp(path: str) -> _Stamp | None:
    """Return what changes when a file does; None while it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
