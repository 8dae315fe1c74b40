"""Messages are stored with LF and told with CRLF: what a client gave it gets back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime._crlf import crlf_size, to_crlf
from pymaild.storage.maildir import LineEnds

PIECES = st.lists(st.text("\r\n a", max_size=8).map(str.encode), max_size=6)


@given(PIECES)
def test_octets_and_sizes_stay(pieces: list[bytes]) -> None:
    """Every octet but for a bare LF, which becomes a line end; however the message is cut."""
    ends = LineEnds()
    stored = b"".join(ends.convert(pieces))
    assert to_crlf(stored) == re.sub(rb"(?<!\r)\n", b"\r\n", b"".join(pieces))
    assert len(stored) + ends.lines == crlf_size(stored) == len(to_crlf(stored))
