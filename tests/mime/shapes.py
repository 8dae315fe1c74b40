"""ENVELOPE and BODYSTRUCTURE as values, checked against the grammar of RFC 9051 §9."""

from __future__ import annotations

from typing import Any

from pymaild.mime.bodystructure import bodystructure
from pymaild.mime.envelope import envelope
from pymaild.mime.parts import Part
from tests.support import replies


def read(wire: bytes) -> Any:
    """Read one value strictly: quoted strings hold no octet that needs a literal."""
    assert b"\0" not in wire
    reply = replies.parse(b"* 1 FETCH (X " + wire + b")\r\n")
    return reply.values[2][1]


def read_envelope(header: bytes) -> Any:
    """The envelope of a header, as values of a lawful shape."""
    values = read(envelope(header))
    check_envelope(values)
    return values


def read_structure(data: bytes, part: Part, extended: bool = True) -> Any:
    """The structure of a part, as values of a lawful shape."""
    values = read(bodystructure(data, part, extended))
    check_body(values, extended)
    return values


def check_envelope(values: Any) -> None:
    """RFC 9051 §9, "envelope"."""
    assert len(values) == 10
    for text in (*values[:2], *values[8:]):
        check_nstring(text)
    for addresses in values[2:8]:
        assert addresses is None or addresses
        for address in addresses or ():
            assert len(address) == 4
            for text in address:
                check_nstring(text)
            if address[2] is None:
                assert address == [None, None, None, None], "only a group ends without a mailbox"


def check_body(values: Any, extended: bool) -> None:
    """RFC 9051 §9, "body"."""
    if isinstance(values[0], list):
        children = [value for value in values if isinstance(value, list)]
        count = next(i for i, value in enumerate(values) if not isinstance(value, list))
        for child in children[:count]:
            check_body(child, extended)
        assert isinstance(values[count], bytes)
        assert len(values) == count + (5 if extended else 1)
        if extended:
            check_parameters(values[count + 1])
            check_extension(values[count + 2 :])
        return
    rest = check_basic(values, extended)
    assert len(rest) == (4 if extended else 0)
    if extended:
        check_nstring(rest[0])
        check_extension(rest[1:])


def check_basic(values: Any, extended: bool) -> Any:
    """RFC 9051 §9, "body-type-1part"; returns the extension data."""
    main, sub, parameters, ident, description, encoding, size, *rest = values
    assert isinstance(main, bytes)
    assert isinstance(sub, bytes)
    check_parameters(parameters)
    check_nstring(ident)
    check_nstring(description)
    assert isinstance(encoding, bytes)
    assert size.isdigit()
    kind = main.lower() + b"/" + sub.lower()
    if kind in (b"message/rfc822", b"message/global"):
        check_envelope(rest[0])
        check_body(rest[1], extended)
        assert rest[2].isdigit()
        return rest[3:]
    assert main.lower() != b"multipart", "a multipart without parts"
    if main.lower() == b"text":
        assert any(name.lower() == b"charset" for name in parameters[::2])
        assert rest[0].isdigit()
        return rest[1:]
    return rest


def check_parameters(values: Any) -> None:
    """RFC 9051 §9, "body-fld-param": pairs of strings, never NIL inside."""
    if values is not None:
        assert values
        assert len(values) % 2 == 0
        assert all(isinstance(value, bytes) for value in values)


def check_extension(values: Any) -> None:
    """Disposition, language and location."""
    disposition, language, location = values
    if disposition is not None:
        kind, parameters = disposition
        assert isinstance(kind, bytes)
        check_parameters(parameters)
    assert language is None or (language and all(isinstance(tag, bytes) for tag in language))
    check_nstring(location)


def check_nstring(value: Any) -> None:
    """RFC 9051 §9, "nstring"."""
    assert value is None or isinstance(value, bytes)
