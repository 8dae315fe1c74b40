"""The waits for a client that says nothing, cut into slices."""

from __future__ import annotations

import time
from collections.abc import Callable

from pymaild.core.errors import Parked

SLICE = 1.0  # seconds between two signs of life
MOMENT = 0.002  # seconds in which most clients that are at work answer


class Silence:
    """How long a client has said nothing; ``left`` is when to ask what is to become of it."""

    def __init__(self, patience: Callable[[float], float] | None, waited: float = 0.0) -> None:
        """``waited``: for how many seconds it has already."""
        self._patience = patience
        self._began = time.monotonic() - waited
        self.left = SLICE if patience is None else MOMENT

    def go_on(self) -> float:
        """Wait on, after a while without a word; returns ``left``. Raises Parked."""
        if self._patience is None:
            return self.left
        left = self._patience(time.monotonic() - self._began)
        if left <= 0:
            raise Parked
        self.left = min(left, SLICE)
        return self.left


ENDLESS = Silence(None)
