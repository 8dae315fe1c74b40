"""The client's side of SCRAM (RFC 5802 §3), written from the RFC and not from the server."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode


class ScramClient:
    """One exchange: ``first``, then ``final`` for the server's challenge.

    ``bare`` is ``n=name,r=nonce``, ``header`` what stands before it (§7, gs2-header). After
    ``final``, ``signature`` is what the server is to prove itself with.
    """

    def __init__(
        self,
        method: str,
        password: bytes,
        first: bytes,
        header: bytes = b"n,,",
        binding: bytes = b"",
    ) -> None:
        self.method, self.password, self.bare = method, password, first
        self.header, self.binding = header, binding
        self.signature = b""

    @property
    def first(self) -> bytes:
        return self.header + self.bare

    def final(self, challenge: bytes) -> bytes:
        found = re.fullmatch(rb"r=([^,]+),s=([^,]+),i=(\d+)", challenge)
        assert found is not None
        salted = hashlib.pbkdf2_hmac(self.method, self.password, b64decode(found[2]), int(found[3]))
        client = hmac.digest(salted, b"Client Key", self.method)
        stored = hashlib.new(self.method, client).digest()
        server = hmac.digest(salted, b"Server Key", self.method)
        bare = b"c=" + b64encode(self.header + self.binding) + b",r=" + found[1]
        message = b",".join((self.bare, challenge, bare))
        signature = hmac.digest(stored, message, self.method)
        proof = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        self.signature = b"v=" + b64encode(hmac.digest(server, message, self.method))
        return bare + b",p=" + b64encode(proof)
