"""The list of subscribed names: one file, or what another server has left."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pymaild.mail.settings import MailSettings
from pymaild.mail.tree import INBOX
from pymaild.storage import atomic, takeover

NAME = "pymaild.subscriptions"


class Subscriptions:
    """The subscriptions of one account; a name needs no mailbox (RFC 9051 §6.3.7)."""

    def __init__(self, root: str, settings: MailSettings) -> None:
        self._root = root
        self._path = os.path.join(root, NAME)
        self._settings = settings

    def made(self) -> bool:
        """Say whether the list is ours already."""
        return os.path.exists(self._path)

    def names(self) -> list[str]:
        """Return all subscribed names."""
        try:
            with open(self._path, encoding="utf-8") as file:
                return file.read().split("\n")[:-1]
        except FileNotFoundError:
            return self.taken_over() or []

    def taken_over(self) -> list[str] | None:
        """Return the names another server subscribed; None when there was none."""
        names = takeover.subscriptions(self._root)
        if names is None:
            return None
        prefix, separator = self._settings.prefix, self._settings.separator
        return [
            name if name.upper() == INBOX else prefix + name.replace("/", separator)
            for name in names
        ]

    def write(self, names: Iterable[str]) -> None:
        """Replace the list. Raises OSError."""
        text = "".join(f"{name}\n" for name in dict.fromkeys(names))
        atomic.replace(self._path, text.encode(), self._settings.fsync)
