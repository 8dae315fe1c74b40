"""An MTA: it delivers to several users over one connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from tests.support import corpus
from tests.support.lmtp import Lmtp

from .actor import Actor, Farewell, Refused, Stage

CLOSING = 421


class LmtpActor(Actor):
    """Each transaction has one to three recipients."""

    kind = "lmtp"

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, f"lmtp {name}")
        self.client: Lmtp | None = None
        self.told = 0  # replies to the message that have come

    def works(self) -> list[Callable[[], None]]:
        return [self.noop, self.deliver, self.deliver]

    def drop(self) -> None:
        if self.client is not None:
            with suppress(OSError):
                self.client.close()
        self.client = None

    def half(self) -> bool:
        return self.told > 0

    def session(self) -> Lmtp:
        if self.client is None:
            self.told = 0
            self.client = Lmtp(self.stage.server.lmtp)
        return self.client

    def ask(self, *words: str, wanted: int = 250) -> None:
        self.expect(self.session().docmd(*words)[0], wanted)

    def expect(self, code: int, wanted: int) -> None:
        """Refuse what is neither wanted nor an excuse."""
        if code == CLOSING:
            raise Farewell(str(code))
        if 400 <= code < 500:
            self.session().rset()
            raise Refused(str(code))
        assert code == wanted, f"{code}, not {wanted}"

    def noop(self) -> None:
        self.ask("NOOP")

    def deliver(self) -> None:
        """What is answered with 250 is there; what is not answered may be, once."""
        users = self.random.sample(sorted(self.stage.truths), self.random.randint(1, 3))
        number = next(self.stage.numbers)
        self.told = 0
        self.ask("MAIL", "FROM:<s@example.org>")
        for user in users:
            self.ask("RCPT", f"TO:<{user}>")
        self.ask("DATA", wanted=354)
        for user in users:
            self.stage.truths[user].most[number] += 1
        session = self.session()
        session.send(corpus.simple(number, self.random.choice((300, 3000))) + b".\r\n")
        codes = []
        for user in users:
            codes.append(session.getreply()[0])
            self.told += 1
            if codes[-1] == 250:
                self.stage.truths[user].somewhere.add(number)
        self.told = 0
        for code in codes:
            self.expect(code, 250)
