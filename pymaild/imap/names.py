"""Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3), or UTF-8 (RFC 9051 §5.1)."""

from __future__ import annotations

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.mime import utf7


def decode(wire: bytes, utf8: bool = False, raw: bool = True) -> str:
    """Return the name a client means; ``utf8``: it has switched to UTF-8, where "&" is itself.

    Other clients get "&" wrong: with ``raw``, what is not modified UTF-7 is taken as it stands,
    and raw UTF-8 is what it looks like (RFC 6855 §3). Octets that are neither raise BadSyntax.
    """
    if not (utf8 or raw):
        return _modified(wire)
    if wire.isascii():
        if b"&" in wire and not utf8:
            try:
                return utf7.decode(wire, strict=False)
            except ValueError:
                pass
        return wire.decode("ascii")
    try:
        return wire.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSyntax("Mailbox name is neither modified UTF-7 nor UTF-8") from None


def _modified(wire: bytes) -> str:
    try:
        return utf7.decode(wire, strict=False)
    except ValueError:
        raise BadSyntax("Mailbox name is not modified UTF-7") from None


def decode_new(wire: bytes, utf8: bool = False) -> str:
    """Return the name of a mailbox to be made: UTF-8, or modified UTF-7 in its one form.

    RFC 3501 §5.1.3, RFC 6855 §3. Raises Refused, not BadSyntax: any error in creation is NO
    (RFC 3501 §6.3.3).
    """
    try:
        name = wire.decode("utf-8") if utf8 or not wire.isascii() else utf7.decode(wire)
    except ValueError:
        raise Refused(Code.CANNOT, "Mailbox name is not in modified UTF-7 or UTF-8") from None
    if _SEPARATORS & set(name):
        raise Refused(Code.CANNOT, "Mailbox name has line or paragraph separators")
    return name


#: Beside controls, which are in no name at all (RFC 6855 §3).
_SEPARATORS = frozenset("\u2028\u2029")


def encode(name: str, utf8: bool = False) -> bytes:
    """Return the name as a quoted string, in UTF-8 or in modified UTF-7.

    Modified UTF-7 leaves printable ASCII only; in UTF-8, controls stay out of names by
    themselves (RFC 9051 §5.1).
    """
    wire = name.encode() if utf8 or _plain(name) else utf7.encode(name)
    return b'"%b"' % wire.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and "&" not in name
