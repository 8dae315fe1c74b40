"""What SCRAM is told of a user, in the same form and as quickly whether the user exists or not."""

from __future__ import annotations

import hmac
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from pymaild.auth import schemes
from pymaild.auth.claims import Credential, Keys
from pymaild.auth.names import prepare_login, prepare_scram_password
from pymaild.auth.scram import SALT_SIZE, derive
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import Directory

_MACHINE_ID = "/etc/machine-id"
_SAMPLE = 1024  # stored passwords of a source that are looked at
_Shape = tuple[int, int]  # octets of the salt, iterations


class Keyring:
    """Finds credentials, and invents those that are not there.

    Salts that are not stored are made of the name and of a secret that outlives the process:
    an unknown user has the same salt tomorrow, as one whose keys are stored has.
    """

    def __init__(self, settings: AuthSettings, directory: Directory) -> None:
        self._directory = directory
        self._iterations = settings.scram_iterations
        self._secret = hmac.digest(_host_secret(), settings.passwd_file.encode(), "sha256")
        self._seen: list[Sequence[str]] = []
        self._shapes: dict[str, _Shape] = {}

    def find(self, name: str, method: str) -> Credential:
        """Return what is stored for a user. Raises ValueError for what is no user name."""
        prepared = prepare_login(name)
        size, iterations = self._shape(method)
        entry = self._directory.find(prepared)
        stored = entry.stored if entry else self._directory.decoy(prepared)
        found = schemes.credential(stored, method)
        if entry is not None and isinstance(found, Credential):
            return found
        usable = entry is not None and found is not None
        password = found if isinstance(found, bytes) else b""
        salt = self._salt(self._directory.short(prepared), method, size)

        def derived() -> Keys:
            return derive(method, prepare_scram_password(password), salt, iterations)

        def invented() -> Keys:
            return Keys(os.urandom(32), os.urandom(32))

        slow = isinstance(found, bytes)
        return Credential(salt, iterations, derived if slow else invented, slow, usable)

    def _salt(self, name: str, method: str, size: int) -> bytes:
        text = f"{method} {name}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secret, text, "sha512")
        return (digest * (size // len(digest) + 1))[:size]

    def _shape(self, method: str) -> _Shape:
        """Return what most stored keys look like, so that invented ones do not stand out."""
        sources = self._directory.stored()
        if len(sources) != len(self._seen) or any(
            new is not old for new, old in zip(sources, self._seen, strict=True)
        ):
            self._seen = sources
            self._shapes = {name: _usual(sources, name) for name in schemes.SCRAM_METHODS}
        size, iterations = self._shapes[method]
        return size, iterations or self._iterations


def _usual(sources: list[Sequence[str]], method: str) -> _Shape:
    """Return the commonest shape; iterations are 0 where no keys are stored."""
    count: Counter[_Shape] = Counter()
    for stored in sources:
        for text in stored[:_SAMPLE]:
            found = schemes.credential(text, method)
            if isinstance(found, Credential):
                count[len(found.salt), found.iterations] += 1
    return max(count, key=count.__getitem__, default=(SALT_SIZE, 0))


def _host_secret() -> bytes:
    """Return what this host has and no client knows (machine-id(5)), else random octets."""
    with suppress(OSError), open(_MACHINE_ID, "rb") as file:
        if found := file.read(64).strip():
            return found
    return os.urandom(32)
