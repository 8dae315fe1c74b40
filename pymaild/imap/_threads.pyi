from array import array
from collections.abc import Callable

from pymaild.index import View

class Threaded:
    sent: array[int]
    arrived: array[int]
    subjects: array[int]
    replies: bytearray
    def __init__(
        self,
        view: View,
        seqs: array[int],
        sort: Callable[[int], bytes],
        thread: Callable[[int], bytes],
        beat: Callable[[int, int], None],
        cached: bool,
        linked: bool,
    ) -> None: ...
    def firsts(self, order: array[int]) -> array[int]: ...
    def parents(self) -> tuple[array[int], int]: ...
