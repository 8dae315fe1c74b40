"""An identity provider: introspection (RFC 7662) and a set of keys (RFC 7517) over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "mail.example.org"


class Provider:
    """``tokens`` are those it knows; ``asked`` notes each request: its path, and whose it was."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.keys = {"first": ec.generate_private_key(ec.SECP256R1())}
        self.asked: list[tuple[str, str]] = []
        self.answer: bytes | None = None  # sent in the place of every proper answer
        self.held = threading.Event()  # answers wait for it
        self.held.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def issue(self, key: str = "first", kid: str | None = "", **claims: Any) -> str:
        """Sign a token; None takes a claim away."""
        usual = {
            "iss": self.url,
            "aud": [AUDIENCE, "other"],
            "sub": "7",
            "email": "alice",
            "scope": "openid mail",
            "exp": time.time() + 3600,
        }
        body = {name: value for name, value in (usual | claims).items() if value is not None}
        named = {} if kid is None else {"kid": kid or key}
        return jwt.encode(body, self.keys[key], algorithm="ES256", headers=named)

    def key_set(self) -> dict[str, Any]:
        rows = []
        for name, key in self.keys.items():
            row = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            rows.append(row | {"kid": name, "use": "sig", "alg": "ES256"})
        return {"keys": [{"kty": "unheard-of"}, "nonsense", *rows]}

    def introspect(self, form: dict[str, list[str]]) -> dict[str, Any]:
        found = self.tokens.get(form["token"][0])
        return {"active": False} if found is None else {"active": True, **found}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(provider.key_set())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._reply(provider.introspect(parse_qs(body.decode())))

            def _reply(self, value: dict[str, Any]) -> None:
                scheme, _, pair = self.headers.get("Authorization", "").partition(" ")
                who = b64decode(pair).decode() if scheme == "Basic" else ""
                provider.asked.append((self.path, who))
                provider.held.wait(30)
                if provider.answer is not None:
                    self.wfile.write(provider.answer)
                    return
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider for the time of a test."""
    made = Provider()
    try:
        yield made
    finally:
        made.close()
