"""BODY and BODYSTRUCTURE in wire form (RFC 9051 §7.5.2)."""

from __future__ import annotations

from pymaild.mime._address import Budget
from pymaild.mime._fields import collect
from pymaild.mime._parameters import parameters
from pymaild.mime._wire import string
from pymaild.mime.content import MESSAGE_TYPES, ContentType, Parameters, content_type, joined
from pymaild.mime.envelope import MAX_ADDRESSES, envelope_of, text
from pymaild.mime.octets import Octets
from pymaild.mime.parts import Part

_FIELDS: dict[bytes, int] = {
    name: place
    for place, name in enumerate(
        (
            b"CONTENT-TYPE",
            b"CONTENT-ID",
            b"CONTENT-DESCRIPTION",
            b"CONTENT-TRANSFER-ENCODING",
            b"CONTENT-MD5",
            b"CONTENT-DISPOSITION",
            b"CONTENT-LANGUAGE",
            b"CONTENT-LOCATION",
        )
    )
}
_TYPE, _ID, _DESCRIPTION, _ENCODING, _MD5, _DISPOSITION, _LANGUAGE, _LOCATION = range(8)

Fields = list[list[bytes] | None]

#: What a part of a type that was not divided is shown as: a multipart without a boundary
#: holds text as far as anybody can tell, and a message nested too deep is data. Both types may
#: stand only where their structure follows (RFC 9051 §9, "media-basic").
_UNDIVIDED = {
    b"multipart": (b"text", b"plain"),
    b"message": (b"application", b"octet-stream"),
}


def structures(data: Octets, part: Part) -> tuple[bytes, bytes]:
    """Return the parenthesised BODYSTRUCTURE and BODY of `part`, made in one go.

    `data` is what it was scanned from. BODY has no extension data.
    """
    return _both(data, part, Budget(MAX_ADDRESSES))


def bodystructure(data: Octets, part: Part, extended: bool) -> bytes:
    """Return one of both: `extended` gives BODYSTRUCTURE."""
    whole, plain = structures(data, part)
    return whole if extended else plain


def _both(data: Octets, part: Part, budget: Budget) -> tuple[bytes, bytes]:
    fields = collect(data, _FIELDS, part.header_start, part.header_end)
    if part.is_multipart:
        return _multipart(data, part, fields, budget)
    pieces = _basic(part, fields)
    extension = [text(fields[_MD5]), *_extension(fields)]
    if not part.is_message:
        if pieces[0].lower() == b'"text"':
            pieces.append(b"%d" % part.lines)
        return _list(pieces, extension), _list(pieces)
    child, lines = part.children[0], b"%d" % part.lines
    pieces.append(envelope_of(data, child.header_start, child.header_end, budget))
    whole, plain = _both(data, child, budget)
    return _list(pieces, [whole, lines, *extension]), _list(pieces, [plain, lines])


def _list(pieces: list[bytes], more: list[bytes] | None = None) -> bytes:
    return b"(" + b" ".join([*pieces, *(more or ())]) + b")"


def _multipart(data: Octets, part: Part, fields: Fields, budget: Budget) -> tuple[bytes, bytes]:
    """RFC 9051 §9, "body-type-mpart"."""
    content = content_type(fields[_TYPE])
    is_known = content.main.lower() == b"multipart"
    subtype = string(content.sub if is_known else b"mixed")
    children = [_both(data, child, budget) for child in part.children]
    whole, plain = (b"".join(forms) for forms in zip(*children, strict=True))
    extension = [_parameters(content.parameters), *_extension(fields)]
    return _list([whole, subtype], extension), _list([plain, subtype])


def _basic(part: Part, fields: Fields) -> list[bytes]:
    """RFC 9051 §9, "body-fields" behind the media type."""
    content = _shown_type(part, fields)
    is_text = content.main.lower() == b"text"
    return [
        string(content.main),
        string(content.sub),
        _parameters(content.parameters, is_text),
        text(fields[_ID]),
        text(fields[_DESCRIPTION]),
        _encoding(fields[_ENCODING]),
        b"%d" % part.body_crlf,
    ]


def _shown_type(part: Part, fields: Fields) -> ContentType:
    """The media type, changed where the grammar wants more than the part has."""
    if part.is_message:
        content = content_type(fields[_TYPE], b"message/rfc822")
        if content.full in MESSAGE_TYPES:
            return content
        return ContentType(b"message", b"rfc822", content.parameters)
    content = content_type(fields[_TYPE])
    main = content.main.lower()
    if main == b"multipart" or content.full in MESSAGE_TYPES:
        return ContentType(*_UNDIVIDED[main], content.parameters)
    return content


def _parameters(given: Parameters, is_text: bool = False) -> bytes:
    """RFC 9051 §9, "body-fld-param": no NIL inside; text is us-ascii if nothing else is said.

    RFC 2045 §5.2 gives the default for text/plain; clients expect it for all of text.
    """
    words = [string(word) for pair in given for word in pair]
    if is_text and not any(name.lower() == b"charset" for name, _ in given):
        words += [b'"charset"', b'"us-ascii"']
    return b"(" + b" ".join(words) + b")" if words else b"NIL"


def _encoding(values: list[bytes] | None) -> bytes:
    """RFC 9051 §9, "body-fld-enc": never NIL; RFC 2045 §6.1 gives the default."""
    token = parameters(values[0])[0] if values else b""
    return string(token or b"7bit")


def _extension(fields: Fields) -> list[bytes]:
    """Disposition, language and location, which every kind of part has."""
    return [
        _disposition(fields[_DISPOSITION]),
        _language(fields[_LANGUAGE]),
        text(fields[_LOCATION]),
    ]


def _disposition(values: list[bytes] | None) -> bytes:
    """RFC 9051 §9, "body-fld-dsp"; what RFC 2183 §2.8 does not know is an attachment."""
    if values is None:
        return b"NIL"
    kind, given = parameters(values[0])
    if not kind and not given:
        return b"NIL"
    return b"(%b %b)" % (string(kind or b"attachment"), _parameters(joined(given)))


def _language(values: list[bytes] | None) -> bytes:
    """RFC 9051 §9, "body-fld-lang": always a list (RFC 3282 §2: tags between commas)."""
    if values is None:
        return b"NIL"
    tags = (parameters(tag)[0] for tag in values[0].split(b",", _MOST_TAGS)[:_MOST_TAGS])
    words = [string(tag) for tag in tags if tag]
    return b"(" + b" ".join(words) + b")" if words else b"NIL"


_MOST_TAGS = 100
