"""Passwords that were verified not long ago, as keyed digests in memory."""

from __future__ import annotations

import hmac
import os
import threading
from collections import OrderedDict

from pymaild.auth.settings import AuthSettings


class Cache:
    """Bounded, oldest use out first; may be used by several threads.

    A digest is made of the password and of the stored hash: once either differs, it is unknown.
    The key never leaves the process, times are seconds of a monotonic clock.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._ttl = settings.cache_ttl
        self._size = settings.cache_size
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, name: str, stored: str, password: bytes, now: float) -> None:
        """Remember that ``password`` is the stored one of user ``name``."""
        digest = self._digest(stored, password)
        with self._lock:
            self._known.pop(name, None)
            self._known[name] = (digest, now + self._ttl)
            while len(self._known) > self._size:
                self._known.popitem(last=False)

    def knows(self, name: str, stored: str, password: bytes, now: float) -> bool:
        """Tell whether this was added and has not expired."""
        digest, expiry = self._known.get(name, (b"", 0.0))
        if now >= expiry:
            return False
        if not hmac.compare_digest(digest, self._digest(stored, password)):
            return False
        with self._lock:
            if name in self._known:
                self._known.move_to_end(name)
        return True

    def _digest(self, stored: str, password: bytes) -> bytes:
        hashed = stored.encode("utf-8", "surrogateescape")
        text = len(hashed).to_bytes(4) + hashed + password
        return hmac.digest(self._key, text, "sha256")
