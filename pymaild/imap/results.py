"""What is told of the messages found: the RETURN options and the ESEARCH response.

RFC 4731 §3, RFC 5182 §2, RFC 5267 §3 and §4, RFC 9394 §3, RFC 9051 §6.4.4 and §7.3.4. Results
stand in their order, which is the mailbox's for SEARCH and any other for SORT: the first is MIN,
the last is MAX (RFC 5267 §3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.imap import items
from pymaild.imap._arguments import Arguments
from pymaild.imap.partial import Numbers, Partial
from pymaild.imap.responses import set_pieces
from pymaild.imap.search import Ends


@dataclass(frozen=True, slots=True)
class Returns:
    """What RETURN asks for.

    ``items``: the data items to be told, in the order asked for; ``partial`` is PARTIAL's range.
    ``save``: the results become "$" (RFC 5182); ``update``: changes are told later (RFC 5267
    §4.3); ``hint``: CONTEXT, searches like this one will follow (§4.2). ``fetch``: the items
    that are told of new mail among the results (RFC 5465 §7), as the client wrote them.
    """

    items: tuple[bytes, ...] = (b"ALL",)
    partial: Partial | None = None
    save: bool = False
    update: bool = False
    hint: bool = False
    fetch: str = ""

    @property
    def silent(self) -> bool:
        """SAVE alone tells nothing (RFC 5182 §1)."""
        return self.save and not (self.items or self.update or self.hint)

    @property
    def ends(self) -> Ends | None:
        """How many results suffice to tell and to keep what is asked for; None: all of them."""
        asked = frozenset(self.items)
        if not asked or self.update or asked & {b"ALL", b"COUNT"}:
            return None
        low, high = sorted(self.partial or (0, 0))
        return Ends(max(high, int(b"MIN" in asked)), max(-low, int(b"MAX" in asked)))

    def chosen(self, found: Numbers) -> Numbers:
        """Return the results that "$" and MODSEQ are about, in their order.

        Those that the items name; all, where ALL or COUNT or no item is asked for (RFC 5182
        §2.4, RFC 9394 §3.2, and RFC 4731 §3.2 for MODSEQ).
        """
        if not self.items or b"ALL" in self.items or b"COUNT" in self.items:
            return found
        chosen = list(self.partial.cut(found)) if self.partial else []
        if b"MIN" in self.items:
            chosen += found[:1]
        if b"MAX" in self.items:
            chosen += found[-1:]
        return list(dict.fromkeys(chosen))


#: What IMAP4rev2 answers to a search without RETURN (RFC 9051 §6.4.4).
DEFAULT = Returns()


@dataclass
class _Options:
    """The options of RETURN while they are read."""

    items: list[bytes] = field(default_factory=list)
    manners: set[bytes] = field(default_factory=set)
    partial: Partial | None = None
    fetch: str = ""

    def take(self, args: Arguments) -> None:
        """Read one option."""
        name = args.name()
        if name in _MANNERS:
            self.manners.add(name)
        elif name not in _ITEMS:
            raise BadSyntax("Unknown return option")
        elif name in _LISTS and any(item in _LISTS for item in self.items):
            raise BadSyntax("Only one of ALL and PARTIAL is possible, and only once")
        else:
            self.items.append(name)
        if name == b"PARTIAL":
            args.sp()
            self.partial = Partial.read(args)
        elif name == b"UPDATE" and args.more() and args.peek() == LIST_BEGIN:
            if not args.glued():  # the grammar of RFC 5465 has no space, its example has
                args.sp()
            self.fetch = items.written(args)

    def returns(self) -> Returns:
        asked = tuple(dict.fromkeys(self.items))
        if not asked and not self.manners:
            return DEFAULT
        save, update, hint = (name in self.manners for name in _MANNERS)
        return Returns(asked, self.partial, save, update, hint, self.fetch)


def read(args: Arguments) -> Returns | None:
    """Read RETURN (...) and the space behind it; None where it is not there (RFC 4466 §2.6.1)."""
    if not args.ahead(b"RETURN"):
        return None
    args.name()
    args.sp()
    return read_options(args)


def read_options(args: Arguments) -> Returns:
    """Read the options in parentheses and the space behind them."""
    options = _Options()
    args.open()
    while args.item():
        options.take(args)
    args.sp()
    return options.returns()


# -- writing -----------------------------------------------------------------------------------

_Item = Callable[[Returns, Numbers], Iterator[bytes]]


def _min(returns: Returns, found: Numbers) -> Iterator[bytes]:
    if found:
        yield b" MIN %d" % found[0]


def _max(returns: Returns, found: Numbers) -> Iterator[bytes]:
    if found:
        yield b" MAX %d" % found[-1]


def _all(returns: Returns, found: Numbers) -> Iterator[bytes]:
    if found:
        yield b" ALL "
        yield from set_pieces(found)


def _count(returns: Returns, found: Numbers) -> Iterator[bytes]:
    yield b" COUNT %d" % len(found)


def _partial(returns: Returns, found: Numbers) -> Iterator[bytes]:
    """RFC 9394 §3.1: the range as it was asked for, and NIL where no result is in it."""
    assert returns.partial is not None
    yield b" PARTIAL (%d:%d " % returns.partial
    cut = returns.partial.cut(found)
    yield from set_pieces(cut) if cut else (b"NIL",)
    yield b")"


_ITEMS: dict[bytes, _Item] = {
    b"MIN": _min,
    b"MAX": _max,
    b"ALL": _all,
    b"COUNT": _count,
    b"PARTIAL": _partial,
}
_LISTS = (b"ALL", b"PARTIAL")  # only one of these, and once (RFC 9394 §3.1)
_MANNERS = (b"SAVE", b"UPDATE", b"CONTEXT")  # in the order of the fields of Returns


def correlator(tag: bytes, mailbox: bytes = b"", uidvalidity: int = 0) -> bytes:
    """search-correlator (RFC 9051 §9); with a mailbox's name on the wire: RFC 7377 §2.1."""
    if not mailbox:
        return b'(TAG "%b")' % tag
    return b'(TAG "%b" MAILBOX %b UIDVALIDITY %d)' % (tag, mailbox, uidvalidity)


def esearch(
    correlated: bytes, by_uid: bool, returns: Returns, found: Numbers, modseq: int = 0
) -> Iterator[bytes]:
    """Yield an ESEARCH response in pieces (RFC 9051 §7.3.4).

    ``found``: numbers or UIDs in the order of the results; ``modseq``: the highest of those that
    :meth:`Returns.chosen` names, where the search asked for mod-sequences, else 0.
    """
    yield b"* ESEARCH %b%b" % (correlated, b" UID" if by_uid else b"")
    for item in returns.items:
        yield from _ITEMS[item](returns, found)
    yield b" MODSEQ %d\r\n" % modseq if modseq and found else b"\r\n"
