from collections.abc import Iterator

class NotMbox(ValueError): ...

class Message:
    offset: int
    header: int
    body: int
    end: int
    next: int
    size: int
    wire_size: int
    header_size: int
    date: int
    flags: int
    uid: int
    old: bool
    pseudo: bool
    sender: bytes
    identity: bytes
    keywords: tuple[bytes, ...]
    base: tuple[int, int, tuple[bytes, ...]] | None

class Scanner(Iterator[Message]):
    def __init__(self, fd: int, start: int = 0, end: int = ...) -> None: ...
    def __next__(self) -> Message: ...

def message_at(fd: int, offset: int, whole: bool = True) -> Message: ...
def reserve(fd: int, offset: int, length: int) -> None: ...
