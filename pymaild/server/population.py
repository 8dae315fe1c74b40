"""How many workers there should be. No processes here, only numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pymaild.server.settings import ServerSettings

LARGEST_BURST = 32
BURST_TIME = 1.0  # seconds; growth that is needed again so soon is doubled
SHRINK_TIME = 1.0  # seconds between two workers that leave


@dataclass
class Population:
    """The bounds, which TTIN and TTOU move, and the pace of change."""

    least: int
    spare: int
    spare_max: int
    most: int
    full: bool = False  # more are needed than allowed; logged when it begins
    _burst: int = 1
    _grown: float = -BURST_TIME
    _shrunk: float = -SHRINK_TIME

    @classmethod
    def of(cls, settings: ServerSettings) -> Self:
        """Take the bounds from the configuration."""
        return cls(
            settings.workers_min,
            settings.workers_spare,
            settings.workers_spare_max,
            settings.workers_max,
        )

    def more(self) -> None:
        """Keep one worker more (TTIN)."""
        self.least = min(self.least + 1, self.most)

    def fewer(self) -> None:
        """Keep one worker fewer (TTOU)."""
        self.least = max(self.least - 1, 1)

    def change(self, now: float, current: int, idle: int, total: int) -> int:
        """Return how many workers to start, or -1 when one shall leave.

        ``current`` are the workers that take connections, ``idle`` those of them that have
        none (or are just starting), ``total`` includes those that are leaving.
        """
        wanted = max(self.least - current, 0)
        if idle + wanted < self.spare:
            wanted = max(wanted, self.spare - idle, self._next_burst(now))
        room = max(self.most - total, self.least - current, 0)
        self.full = wanted > 0 and room == 0
        if wanted:
            return min(wanted, room)
        if idle > self.spare_max and current > self.least and now - self._shrunk >= SHRINK_TIME:
            self._shrunk = now
            return -1
        return 0

    def _next_burst(self, now: float) -> int:
        again = now - self._grown < BURST_TIME
        self._grown = now
        self._burst = min(self._burst * 2, LARGEST_BURST) if again else 1
        return self._burst
