"""Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5, RFC 2183)."""

from __future__ import annotations

from typing import NamedTuple

from pymaild.mime._parameters import parameters

Parameters = list[tuple[bytes, bytes]]

#: Types whose body is a message (RFC 2046 §5.2.1, RFC 6532 §3.7).
MESSAGE_TYPES = frozenset({b"message/rfc822", b"message/global"})

#: Longest section number taken for one of a continued parameter (RFC 2231 §3).
_LONGEST_SECTION = 6


class ContentType(NamedTuple):
    """A media type as written, with its parameters, continuations joined."""

    main: bytes
    sub: bytes
    parameters: Parameters

    @property
    def full(self) -> bytes:
        """The lower-case `type/subtype`."""
        return self.main.lower() + b"/" + self.sub.lower()


class Section(NamedTuple):
    """One piece of a continued or extended parameter: `name*number*=value` (RFC 2231 §3, §4)."""

    name: bytes
    number: int
    extended: bool
    key: bytes
    value: bytes


def content_type(values: list[bytes] | None, default: bytes = b"text/plain") -> ContentType:
    """Read a Content-Type field's values; the first counts.

    What is no `type/subtype` reads as text/plain with the parameters given (RFC 2045 §5.2);
    `default` stands for an absent field.
    """
    if values is None:
        main, _, sub = default.partition(b"/")
        return ContentType(main, sub, [])
    token, given = parameters(values[0])
    main, _, sub = token.partition(b"/")
    if not main or not sub:
        main, sub = b"text", b"plain"
    return ContentType(main, sub, joined(given))


def parameter(given: Parameters, name: bytes) -> bytes:
    """Return the value of the first parameter `name` (lower case), b"" where there is none.

    Joins continuations, leaves extended values encoded.
    """
    for key, value in given:
        if key.lower() == name:
            return value
    for key, value in joined(given):
        if key.lower() == name:
            return value
    return b""


def joined(given: Parameters) -> Parameters:
    """Join the pieces of continued parameters (RFC 2231 §3).

    `a*0`, `a*1` become `a`. Where a piece is extended (`a*0*`) the whole is `a*`, still in the
    form charset'language'percent-encoded: clients know it, and it is ASCII. Pieces with a gap
    in their numbers stay as they are. Joined ones follow the others, by name.
    """
    if not any(b"*" in key for key, _ in given):
        return given
    plain: Parameters = []
    sections: dict[bytes, list[Section]] = {}
    for key, value in given:
        section = _section(key, value)
        if section is None:
            plain.append((key, value))
        else:
            sections.setdefault(section.name.lower(), []).append(section)
    for name in sorted(sections):
        plain += _join(sorted(sections[name], key=lambda section: section.number))
    return plain


def _section(key: bytes, value: bytes) -> Section | None:
    """Read `name*`, `name*1` or `name*1*`; None for any other name."""
    name, star, rest = key.partition(b"*")
    if not star:
        return None
    extended = rest.endswith(b"*") or not rest
    digits = rest.removesuffix(b"*")
    if len(digits) > _LONGEST_SECTION or not (digits.isdigit() or not rest):
        return None
    return Section(name, int(digits or b"0"), extended, key, value)


def _join(pieces: list[Section]) -> Parameters:
    if [piece.number for piece in pieces] != list(range(len(pieces))):
        return [(piece.key, piece.value) for piece in pieces]
    name = pieces[0].name
    if not any(piece.extended for piece in pieces):
        return [(name, b"".join(piece.value for piece in pieces))]
    start = b"" if pieces[0].extended else b"''"
    return [(name + b"*", start + b"".join(map(_percent_encoded, pieces)))]


def _percent_encoded(piece: Section) -> bytes:
    """The value as part of an extended one (RFC 2231 §4.1)."""
    if piece.extended:
        return piece.value
    return b"".join(_ENCODED[octet] for octet in piece.value)


_ATTRIBUTE_CHARS = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`{|}~"
)
_ENCODED = [
    bytes([octet]) if octet in _ATTRIBUTE_CHARS else b"%%%02X" % octet for octet in range(256)
]
