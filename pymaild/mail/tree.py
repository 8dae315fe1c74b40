"""Folder names: what clients call a mailbox, and the Maildir++ directory that holds it.

On disk the levels of a name are divided by "." and each level is modified UTF-7, as Dovecot and
Courier have it. A "." or "/" inside a level is written ``&AC4-`` and ``&AC8-``, which no
canonical name contains.
"""

from __future__ import annotations

import os
import unicodedata

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mime import utf7

INBOX = "INBOX"
LONGEST = 255  # octets of a directory's name
_ESCAPES = ((b".", b"&AC4-"), (b"/", b"&AC8-"))


class Names:
    """Both directions, for one separator and prefix of the personal namespace."""

    def __init__(self, separator: str, prefix: str) -> None:
        self.separator = separator
        self.prefix = prefix

    def canonical(self, name: str) -> str:
        """Return the name with INBOX in capitals (RFC 9051 §5.1) and in composed Unicode."""
        head, divider, rest = name.partition(self.separator)
        head = INBOX if head.upper() == INBOX else head
        return unicodedata.normalize("NFC", head + divider + rest)

    def directory(self, name: str) -> str:
        """Return the directory below the Maildir, "" for INBOX. Raises Refused (CANNOT)."""
        name = self.canonical(name)
        if name == INBOX:
            return ""
        if not name.startswith(self.prefix):
            raise NoSuchMailbox(f"Mailboxes here are called {self.prefix}something")
        levels = name[len(self.prefix) :].split(self.separator)
        encoded = ".".join(["", *map(_encode, levels)])
        if len(encoded) > LONGEST:
            raise Refused(Code.CANNOT, "This name is too long")
        return encoded

    def spellings(self, name: str) -> list[str]:
        """Return directories that others may have made for a name that is not ASCII.

        Courier since version 5 writes UTF-8; some clients create decomposed Unicode.
        """
        forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        levels = [form.removeprefix(self.prefix).split(self.separator) for form in forms]
        encoded = [".".join(["", *map(_encode, form)]) for form in levels]
        plain = [form for form in levels if not {".", "/"} & set("".join(form))]
        return [*encoded, *(".".join(["", *form]) for form in plain)]

    def name(self, directory: str) -> str | None:
        """Return a client's name for a directory below the Maildir; None if it is no folder."""
        if not directory.startswith(".") or directory.startswith(".."):
            return None
        levels = [_decode(os.fsencode(level)) for level in directory[1:].split(".")]
        return None if "" in levels else self.prefix + self.separator.join(levels)

    def parents(self, name: str) -> list[str]:
        """Return the names above a name, outermost first."""
        parts = name.split(self.separator)
        return [self.separator.join(parts[:depth]) for depth in range(1, len(parts))]


def _encode(level: str) -> str:
    if not level or any(unicodedata.category(letter) == "Cc" for letter in level):
        raise Refused(Code.CANNOT, "This is not a name for a mailbox")
    try:
        encoded = utf7.encode(level)
    except ValueError:
        raise Refused(Code.CANNOT, "This is not a name for a mailbox") from None
    for plain, escaped in _ESCAPES:
        encoded = encoded.replace(plain, escaped)
    return encoded.decode("ascii")


def _decode(level: bytes) -> str:
    for plain, escaped in _ESCAPES:
        level = level.replace(escaped, plain)
    try:
        return utf7.decode(level)
    except ValueError:
        return level.decode("utf-8", "replace")
