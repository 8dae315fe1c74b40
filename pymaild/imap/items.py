"""The items of FETCH (RFC 3501 §9, fetch-att), compiled to what fetch.py walks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild._parser import ATOM, LIST_BEGIN, BadSyntax
from pymaild.imap import _rows, grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.modifiers import NONE, Modifiers
from pymaild.mail.cache import FIELDS as CACHED

if TYPE_CHECKING:
    from pymaild.mail.message import What

# Beside the operations of _rows, which need no message:
SECTION, FIELDS, BINARY, BINARY_SIZE, LAZY_PREVIEW = 64, 65, 66, 67, 68


@dataclass(frozen=True, slots=True)
class Item:
    """One item: what to do, and the label of its value.

    For SECTION, FIELDS and BINARY, ``path`` is the part, ``what`` its share, ``names`` the fields
    in upper case; ``offset`` is -1 for the whole. ``marks``: asking for it sets \\Seen.
    """

    op: int
    label: bytes
    path: tuple[int, ...] = ()
    what: What = ""
    names: frozenset[bytes] = frozenset()
    negate: bool = False
    offset: int = -1
    count: int = 0
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The items in the order of the answer.

    ``row_items``: their operations, if rows, cache and octets of messages answer them all;
    ``row_fields``: each FIELDS among these; ``row_sections``: each SECTION;
    ``modseq``: mod-sequences are asked for.
    """

    items: tuple[Item, ...]
    row_items: bytes
    row_fields: tuple[_rows.Fields, ...]
    row_sections: tuple[_rows.Section, ...]
    marks: bool
    modseq: bool = False
    modifiers: Modifiers = NONE


def _row(op: int, label: bytes) -> Item:
    return Item(op, label)


ITEMS: dict[bytes, Item] = {
    item.label: item
    for item in (
        _row(_rows.UID, b"UID"),
        _row(_rows.FLAGS, b"FLAGS"),
        _row(_rows.INTERNALDATE, b"INTERNALDATE"),
        _row(_rows.SIZE, b"RFC822.SIZE"),
        _row(_rows.ENVELOPE, b"ENVELOPE"),
        _row(_rows.BODYSTRUCTURE, b"BODYSTRUCTURE"),
        _row(_rows.BODY, b"BODY"),
        _row(_rows.MODSEQ, b"MODSEQ"),  # RFC 7162 §3.1.4.2
        _row(_rows.PREVIEW, b"PREVIEW"),  # RFC 8970 §6
        _row(_rows.EMAILID, b"EMAILID"),  # RFC 8474 §7
        _row(_rows.THREADID, b"THREADID"),
        _row(_rows.SAVEDATE, b"SAVEDATE"),  # RFC 8514 §5
        Item(SECTION, b"RFC822", marks=True),
        Item(SECTION, b"RFC822.HEADER", what="HEADER"),
        Item(SECTION, b"RFC822.TEXT", what="TEXT", marks=True),
    )
}

_FAST = (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")
MACROS: dict[bytes, tuple[bytes, ...]] = {
    b"ALL": (*_FAST, b"ENVELOPE"),
    b"FAST": _FAST,
    b"FULL": (*_FAST, b"ENVELOPE", b"BODY"),
}

_BODY = re.compile(
    rb"BODY(?P<peek>\.PEEK)?\[(?P<path>[1-9][0-9]*(?:\.[1-9][0-9]*)*)?(?P<dot>\.)?"
    rb"(?P<what>HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME)?(?P<rest>\].*)?"
)
_TAIL = re.compile(rb"\](?:<([0-9]{1,10})\.([1-9][0-9]{0,9})>)?")
_BINARY = re.compile(
    rb"BINARY(?P<how>\.PEEK|\.SIZE)?\[(?P<path>[1-9][0-9]*(?:\.[1-9][0-9]*)*)?(?P<rest>\].*)"
)
_LAZY = re.compile(rb" \(LAZY(?: LAZY)*\)", re.IGNORECASE)
_WHAT: dict[bytes, What] = {b"": "", b"HEADER": "HEADER", b"TEXT": "TEXT", b"MIME": "MIME"}
_LONGEST_PATH = 200  # octets; no part lies this deep

_CACHE: dict[bytes, Plan] = {}
_MOST_CACHED = 512
_LONGEST_CACHED = 256


def plan(args: Arguments, by_uid: bool) -> Plan:
    """Read items and modifiers to the end of the command; ``by_uid``: UID is asked for, too.

    A client asks for the same few lists of items again and again: their plans are kept.
    """
    text = args.rest()
    key = text + b" UID" if by_uid else text
    found = _CACHE.get(key)
    if found is not None:
        args.finish()
        return found
    wanted, modifiers = read(args), Modifiers.read(args)
    args.end()
    found = _compile(wanted, by_uid, modifiers)
    if len(key) <= _LONGEST_CACHED and modifiers is NONE:
        if len(_CACHE) >= _MOST_CACHED:
            _CACHE.clear()
        _CACHE[key] = found
    return found


def made(*names: bytes) -> Plan:
    """Return the plan for items by their names."""
    return _compile([ITEMS[name] for name in names], by_uid=False)


def joined(lists: Iterable[Arguments]) -> Plan:
    """Read several lists of items; return a plan that has each of these once."""
    return _compile([item for args in lists for item in read(args)], by_uid=False)


def written(args: Arguments) -> str:
    """Read items; return them as they are written, literals included, decoded as Latin-1."""
    before = args.rest()
    read(args)
    return before[: len(before) - len(args.rest())].decode("latin-1")


def _compile(items: list[Item], by_uid: bool, modifiers: Modifiers = NONE) -> Plan:
    """UID comes first, whether asked for or implied (RFC 3501 §6.4.8).

    CHANGEDSINCE implies MODSEQ (RFC 7162 §3.1.4.1).
    """
    uid, modseq = ITEMS[b"UID"], ITEMS[b"MODSEQ"]
    if by_uid or uid in items:
        items = [uid, *items]
    if modifiers.since is not None:
        items = [*items, modseq]
    ordered = tuple(dict.fromkeys(items))
    operations = [_row_operation(item) for item in ordered]
    whole = all(operations)
    return Plan(
        ordered,
        bytes(operations) if whole else b"",
        tuple(_rows.Fields(item.label, item.names) for item in ordered if item.op == FIELDS),
        tuple(_row_section(item) for item in ordered if whole and item.op == SECTION),
        any(item.marks for item in ordered),
        modseq in ordered,
        modifiers,
    )


def _row_operation(item: Item) -> int:
    """The operation that answers an item from row and cache, 0 when none does."""
    if item.op < SECTION:
        return item.op
    if item.op == LAZY_PREVIEW:
        return _rows.PREVIEW  # of what is not cached, the long way says that it is not
    if item.op == SECTION:
        return _rows.SECTION if all(number < 256 for number in item.path) else 0
    cached = item.op == FIELDS and not item.path and not item.negate and item.names <= CACHED
    return _rows.FIELD_LINES if cached and item.offset < 0 else 0


def _row_section(item: Item) -> _rows.Section:
    """RFC 9051 §6.4.5.1: HEADER and TEXT with a path are those of the message in that part."""
    header = _rows.HEADER * (item.what in ("HEADER", "MIME"))
    inner = _rows.INNER * (item.what == "TEXT" or (item.what == "HEADER" and bool(item.path)))
    return _rows.Section(item.label, bytes(item.path), header | inner, item.offset, item.count)


def read(args: Arguments) -> list[Item]:
    """Read one item, or a list of them (RFC 3501 §9, fetch)."""
    if args.peek() != LIST_BEGIN:
        word = args.word().upper()
        if word in MACROS:
            return [ITEMS[name] for name in MACROS[word]]
        return [_item(args, word)]
    items = []
    args.open()
    while args.item():
        items.append(_item(args, args.word()))
    if not items:
        raise BadSyntax("Expected at least one item")
    return items


def _item(args: Arguments, word: bytes) -> Item:
    upper = word.upper()
    found = ITEMS.get(upper)
    if found is None:
        return _binary(upper) if upper.startswith(b"BINARY") else _body(args, upper)
    return _modified(args, found) if found.op == _rows.PREVIEW else found


def _modified(args: Arguments, item: Item) -> Item:
    """PREVIEW, or PREVIEW (LAZY) (RFC 8970 §6). Another list there is FETCH's own."""
    if not _LAZY.match(args.rest()):
        return item
    args.sp()
    grammar.names_list(args)
    return Item(LAZY_PREVIEW, item.label)


def _binary(word: bytes) -> Item:
    """BINARY[part]<partial>, BINARY.PEEK and BINARY.SIZE (RFC 9051 §6.4.5)."""
    match = _BINARY.fullmatch(word)
    if match is None or len(match["path"] or b"") > _LONGEST_PATH:
        raise BadSyntax("Unknown item, or a malformed section")
    offset, count, origin = _partial(match["rest"])
    path = tuple(int(number) for number in (match["path"] or b"").split(b".") if number)
    section = b"[%b]%b" % (b".".join([b"%d" % number for number in path]), origin)
    if match["how"] == b".SIZE":
        if origin:
            raise BadSyntax("The size is that of the whole section")
        return Item(BINARY_SIZE, b"BINARY.SIZE" + section, path)
    peek = match["how"] is not None
    return Item(BINARY, b"BINARY" + section, path, offset=offset, count=count, marks=not peek)


def _body(args: Arguments, word: bytes) -> Item:
    """BODY[section]<partial> and BODY.PEEK (RFC 3501 §6.4.5)."""
    match = _BODY.fullmatch(word)
    if match is None or len(match["path"] or b"") > _LONGEST_PATH:
        raise BadSyntax("Unknown item, or a malformed section")
    path = tuple(int(number) for number in (match["path"] or b"").split(b".") if number)
    what = match["what"] or b""
    if bool(match["dot"]) != bool(path and what) or (what == b"MIME" and not path):
        raise BadSyntax("Malformed section")
    read = _fields if what.startswith(b"HEADER.FIELDS") else _share
    return read(args, match, path, what)


def _share(args: Arguments, match: re.Match[bytes], path: tuple[int, ...], what: bytes) -> Item:
    offset, count, origin = _partial(match["rest"])
    section = b".".join([b"%d" % number for number in path] + ([what] if what else []))
    return Item(
        SECTION,
        b"BODY[%b]%b" % (section, origin),
        path,
        _WHAT[what],
        offset=offset,
        count=count,
        marks=not match["peek"],
    )


def _fields(args: Arguments, match: re.Match[bytes], path: tuple[int, ...], what: bytes) -> Item:
    """HEADER.FIELDS and HEADER.FIELDS.NOT: the names follow as a list, then "]"."""
    if match["rest"]:
        raise BadSyntax("Expected a list of header fields")
    args.sp()
    shown, names = _header_list(args)
    if not args.glued() or args.peek() != ATOM:
        raise BadSyntax("Section is not closed")
    offset, count, origin = _partial(args.word())
    section = b".".join([b"%d" % number for number in path] + [what])
    return Item(
        FIELDS,
        b"BODY[%b (%b)]%b" % (section, b" ".join(shown), origin),
        path,
        names=names,
        negate=what == b"HEADER.FIELDS.NOT",
        offset=offset,
        count=count,
        marks=not match["peek"],
    )


def _header_list(args: Arguments) -> tuple[list[bytes], frozenset[bytes]]:
    """header-list (RFC 3501 §9): the names as they are told back, and in upper case."""
    shown: list[bytes] = []
    names: set[bytes] = set()
    args.open()
    while args.item():
        name = args.astring()
        if not _FIELD_NAME.fullmatch(name):
            raise BadSyntax("Expected the name of a header field")
        shown.append(name if _PLAIN.fullmatch(name) else b'"%b"' % name)
        names.add(name.upper())
    if not shown:
        raise BadSyntax("Expected at least one header field")
    return shown, frozenset(names)


#: field-name (RFC 5322 §2.2): printable ASCII without colon; here without what needs escapes.
_FIELD_NAME = re.compile(rb"[!#-'*-9;-\[\]^-z|}~]+")
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]+")


def _partial(rest: bytes | None) -> tuple[int, int, bytes]:
    """Read "]", or "]<offset.count>"; returns offset (-1: all), count, and what is told back."""
    match = _TAIL.fullmatch(rest or b"")
    if match is None:
        raise BadSyntax("Section is not closed, or a malformed part of it")
    if match[1] is None:
        return -1, 0, b""
    return int(match[1]), int(match[2]), b"<%d>" % int(match[1])
