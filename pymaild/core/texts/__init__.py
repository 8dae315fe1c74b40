"""Texts for people, in their language (RFC 5255 §3, RFC 6856 §3).

The sources speak English. A catalogue has these texts as its keys; where one of them has a value
in it, the key has "{}" in that place. So a text is translated where it is written, also one that
another process made, and nothing else needs to know of languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pymaild.core.texts import de

DEFAULT = "i-default"  # RFC 2277 §4.5: English that everybody understands

#: The languages there are, by tag, with the names they have in themselves.
LANGUAGES = {DEFAULT: "English", "en": "English", "de": "Deutsch"}

_RANGE = re.compile(r"\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_LONGEST_RANGE = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Catalogue:
    """The texts of one language, and the names of mailboxes that the server makes up."""

    def __init__(self, texts: Mapping[str, str], names: Mapping[str, str]) -> None:
        self.names = names
        self._texts = {text: told for text, told in texts.items() if "{}" not in text}
        templates = sorted((text for text in texts if "{}" in text), key=len, reverse=True)
        self._templates = [(_pattern(text), texts[text]) for text in templates]

    def __call__(self, text: str) -> str:
        """Return a text in this language; a response code in front of it stays."""
        if not text.startswith("["):
            return self._translated(text)
        code, bracket, rest = text.partition("] ")
        return code + bracket + self._translated(rest)

    def _translated(self, text: str) -> str:
        told = self._texts.get(text)
        return self._filled(text) if told is None else told

    def _filled(self, text: str) -> str:
        for pattern, told in self._templates:
            match = pattern.fullmatch(text)
            if match is not None:
                return told.format(*(self._texts.get(value, value) for value in match.groups()))
        return text


def _pattern(template: str) -> re.Pattern[str]:
    """A template whose values are short, so that no text takes long to be compared."""
    return re.compile("(.{1,100})".join(map(re.escape, template.split("{}"))), re.DOTALL)


#: What is not English.
CATALOGUES = {"de": Catalogue(de.TEXTS, de.NAMES)}


def place(language: str) -> str:
    """Return what stands in a reply for a text that is still to come (:func:`fill`)."""
    return f"%({language})s" if language in CATALOGUES else "%s"


def fill(reply: bytes, text: str) -> bytes:
    """Put a text where :func:`place` has left room for it, in the language that it named."""
    text = _CONTROLS.sub("?", text)
    for language, catalogue in CATALOGUES.items():
        reply = reply.replace(place(language).encode(), catalogue(text).encode())
    return reply.replace(b"%s", text.encode("ascii", "replace"))


def is_range(text: str) -> bool:
    """Whether this is a basic language range (RFC 4647 §2.1)."""
    return len(text) <= _LONGEST_RANGE and _RANGE.fullmatch(text) is not None


def choose(ranges: Iterable[str], preferred: str) -> str | None:
    """Return the language that the first range with one asks for; None where none has.

    By filtering (RFC 4647 §3.3.1), and where that finds nothing by lookup (§3.4): who asks for
    "de-AT" is better served in "de" than in English. "*" is what the administrator prefers.
    """
    for wanted in ranges:
        found = preferred if wanted == "*" else _filtered(wanted) or _looked_up(wanted)
        if found is not None:
            return found
    return None


def _filtered(wanted: str) -> str | None:
    start = wanted.lower()
    return next((tag for tag in LANGUAGES if f"{tag}-".startswith(f"{start}-")), None)


def _looked_up(wanted: str) -> str | None:
    rest = wanted.lower()
    while rest and rest not in LANGUAGES:
        rest = rest.rpartition("-")[0]
    return rest or None
