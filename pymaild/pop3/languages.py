"""UTF8 and LANG (RFC 6856): text beyond ASCII, and the language of what people read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.core.texts import LANGUAGES, choose, is_range

if TYPE_CHECKING:
    from pymaild.pop3.session import Pop3Session


def utf8(session: Pop3Session, arguments: list[bytes]) -> None:
    """UTF8 (RFC 6856 §2.1): from here on the client reads UTF-8 in header fields."""
    session.record.utf8 = True
    session.ok("UTF-8 it is")


def check(session: Pop3Session, wide: Callable[[], bool]) -> None:
    """Refuse a message that only UTF-8 mode can show, before that mode (RFC 6856 §2.1, §5)."""
    free = session.record.utf8 or session.services.quirks.pop3_raw_headers
    if not free and wide():
        raise Refused(Code.UTF8, "This message can be read after the command UTF8 only")


def lang(session: Pop3Session, arguments: list[bytes]) -> None:
    """LANG (RFC 6856 §3.2): choose a language, or list those there are."""
    if not arguments:
        session.ok("Languages follow")
        session.listing(f"{tag} {name}" for tag, name in LANGUAGES.items())
        return
    wanted = arguments[0].decode("ascii", "replace")
    chosen = choose([wanted], session.services.mail.language) if is_range(wanted) else None
    if chosen is None:
        raise Refused(None, "This language is not spoken here")
    session.speak(chosen)
    session.ok("This is the language from here on", chosen)
