"""ENVELOPE in wire form (RFC 9051 §7.5.2), for FETCH to copy to the client."""

from __future__ import annotations

from pymaild.mime._address import Budget, addresses
from pymaild.mime._fields import collect, squeeze, unfold
from pymaild.mime._wire import nstring
from pymaild.mime.octets import Octets

#: Addresses in one reply. A header of `a,a,a...` would grow fifteenfold without a bound.
MAX_ADDRESSES = 10_000

_FIELDS: dict[bytes, int] = {
    name: place
    for place, name in enumerate(
        (
            b"DATE",
            b"SUBJECT",
            b"FROM",
            b"SENDER",
            b"REPLY-TO",
            b"TO",
            b"CC",
            b"BCC",
            b"IN-REPLY-TO",
            b"MESSAGE-ID",
        )
    )
}


def envelope(header: Octets) -> bytes:
    """Return the parenthesised ENVELOPE of a message header, as bytes for the wire.

    Strings stay as they are in the header, unfolded, in Subject with single spaces: encoded
    words are the client's to decode, and 8-bit octets go into literals. `header` may be a whole
    message.
    """
    return envelope_of(header, 0, len(header), Budget(MAX_ADDRESSES))


def envelope_of(data: Octets, start: int, end: int, budget: Budget) -> bytes:
    """Return the ENVELOPE of the header in `data[start:end]`.

    An absent or empty Sender or Reply-To is the From (RFC 9051 §7.5.2).
    """
    date, subject, author, sender, reply, to, cc, bcc, parent, ident = collect(
        data, _FIELDS, start, end
    )
    authors = addresses(author, budget)
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        text(date),
        nstring(None if subject is None else squeeze(subject[0])),
        authors,
        _or_else(addresses(sender, budget), authors),
        _or_else(addresses(reply, budget), authors),
        addresses(to, budget),
        addresses(cc, budget),
        addresses(bcc, budget),
        text(parent),
        text(ident),
    )


def _or_else(found: bytes, default: bytes) -> bytes:
    return default if found == b"NIL" else found


def text(values: list[bytes] | None) -> bytes:
    """Return a field's first value as an unfolded string; NIL for an absent field."""
    return nstring(None if values is None else unfold(values[0]))
