"""Says which sentences of an RFC a test proves; `python -m tools.rfc` reads it."""

from __future__ import annotations

import pytest


def rfc(number: str, section: str, *sentences: int) -> pytest.MarkDecorator:
    """Mark a test: it fails when the server does not do what these sentences ask.

    ``sentences`` are the numbers that `python -m tools.rfc list NUMBER SECTION` shows. All
    arguments are written as plain constants: they are found by reading the source.
    """
    return pytest.mark.rfc(number, section, *sentences)
