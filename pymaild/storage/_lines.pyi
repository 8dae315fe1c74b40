from collections.abc import Iterable

class Lines:
    def __init__(self, source: int | Iterable[bytes]) -> None: ...
