"""Messages go from a store of one format to one of another: they are written anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pymaild.index import Index
from pymaild.mail.stores import Arrival, Beat, Draft, Leaving, Order, Store, Taken
from pymaild.storage.maildir import unique_name

_PIECE = 1 << 18


@contextmanager
def carrying(
    target: Store,
    source: Store,
    index: Index,
    orders: Sequence[Order],
    mark: str,
    first: int,
    move: bool,
    beat: Beat,
) -> Iterator[list[Taken]]:
    """See :meth:`pymaild.mail.stores.Store.receiving`.

    Of a move, a note says which message comes for which, until all of these have gone: where a
    process dies between the two, those stay whose originals have gone.
    """
    arrivals: list[Arrival] = []
    kept: list[Order] = []
    try:
        for done, order in enumerate(orders):
            beat(done, len(orders))
            draft = _written(target, source, index, order, unique_name(mark, order.uid))
            if draft is None:
                continue
            flags = (order.flags, order.keywords)
            date = index.date(order.row)
            arrivals.append(Arrival(draft, draft.name, first + len(kept), *flags, date))
            kept.append(order)
        if not kept:
            yield []
            return
        rows = [order.row for order in kept]
        leaving = Leaving(source, source.traces(index, rows)) if move else None
        with target.placing(arrivals, mark, leaving) as placed:
            if move:
                source.remove(index, rows, beat, durable=True)
            yield [
                Taken(order, arrival.uid, one.name, int(arrival.date), *one[2:], same=False)
                for order, arrival, one in zip(kept, arrivals, placed, strict=True)
            ]
    finally:
        for arrival in arrivals:
            arrival.draft.discard()


def _written(target: Store, source: Store, index: Index, order: Order, name: str) -> Draft | None:
    octets = source.read(index, order.row)
    if octets is None:
        return None
    data, fd = octets
    try:
        return target.write(_pieces(data), name)
    finally:
        if fd >= 0:
            os.close(fd)


def _pieces(data: memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield bytes(data[start : start + _PIECE])
