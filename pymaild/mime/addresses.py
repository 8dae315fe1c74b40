"""Addresses as values, read from the wire form that ENVELOPE tells (RFC 9051 §7.5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pymaild.mime._address import Budget
from pymaild.mime._address import addresses as _wire

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class Address(NamedTuple):
    """One address structure; None stands for NIL.

    A group starts with an address that has a mailbox, its name, and no host, and ends with one
    that has neither.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


_NOBODY = Address(None, None, None, None)


def first(values: list[bytes] | None) -> Address:
    """Return the first address of a field's raw values, one of NILs where there is none."""
    return next(read(values, 1), _NOBODY)


def read(values: list[bytes] | None, most: int) -> Iterator[Address]:
    """Yield the addresses of a field's raw values, groups included, at most ``most``."""
    wire = _wire(values, Budget(most))
    at = 1  # behind the list's parenthesis; NIL has none
    while wire[at : at + 1] == b"(":
        found: list[bytes | None] = []
        while len(found) < len(Address._fields):
            value, at = _nstring(wire, at + 1)
            found.append(value)
        yield Address(*found)
        at += 1


def _nstring(wire: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the nstring at ``at`` and where it ends."""
    if quoted := _QUOTED.match(wire, at):
        text = quoted[1]
        return _ESCAPED.sub(rb"\1", text) if b"\\" in text else text, quoted.end()
    if literal := _LITERAL.match(wire, at):
        end = literal.end() + int(literal[1])
        return wire[literal.end() : end], end
    return None, at + 3
