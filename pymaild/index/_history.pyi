from array import array
from collections.abc import Iterable, Sequence

from pymaild.index._view import View

class History:
    looked: int
    def __init__(self, view: View) -> None: ...
    def changed(self, since: int) -> array[int]: ...
    def unchanged(
        self, rows: Iterable[int], since: int, system: int, keywords: int
    ) -> set[int]: ...
    def vanished(
        self, since: int, ranges: Sequence[tuple[int, int]], floor: int = 0
    ) -> array[int]: ...
