"""What is wrong with a configuration: its own mistakes, and what it names that is not there."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator

from pymaild.core.config_file import BadConfig, Problem
from pymaild.core.errors import ConfigError
from pymaild.core.toml_lines import Path as Place
from pymaild.core.toml_lines import key_lines
from pymaild.server.config import Config, load_config
from pymaild.server.conflicts import conflicts

Check = tuple[Place, Callable[[], object]]


def problems(path: str) -> list[Problem]:
    """Return all problems of the file at ``path``, in its order."""
    try:
        config = load_config(path)
    except BadConfig as error:
        return list(error.problems)
    with open(path, encoding="utf-8") as file:
        lines = key_lines(file.read())
    found = [_problem(place, text, lines) for place, text in conflicts(config)]
    found += [problem for check in _checks(config) if (problem := _failing(check, lines))]
    return sorted(found)


def _failing(check: Check, lines: dict[Place, int]) -> Problem | None:
    place, test = check
    try:
        test()
    except PermissionError:
        return None  # the server may be allowed what the caller is not
    except (OSError, ConfigError) as error:
        return _problem(place, _reason(error), lines)
    return None


def _problem(place: Place, text: str, lines: dict[Place, int]) -> Problem:
    key = ".".join(part for part in place if isinstance(part, str))
    return Problem(_line(place, lines), key, text)


def _line(place: Place, lines: dict[Place, int]) -> int:
    ends = range(len(place), 0, -1)
    return next((lines[place[:end]] for end in ends if place[:end] in lines), 1)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"cannot be used for TLS ({error.reason})"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def _checks(config: Config) -> Iterator[Check]:
    tls = config.tls
    for number, certificate in enumerate(tls.certificates):
        place: Place = ("tls", "certificate", number)
        cert, key = certificate.files
        yield (*place, "cert"), lambda cert=cert: os.stat(cert)  # type: ignore[misc]
        yield (*place, "key"), lambda cert=cert, key=key: _load(cert, key)  # type: ignore[misc]
    if tls.client_ca:
        yield ("tls", "client_ca"), lambda: ssl.create_default_context(cafile=tls.client_ca)
    if config.auth.passwd_file:
        yield ("auth", "passwd_file"), lambda: os.stat(config.auth.passwd_file)
    if config.log.to == "file":
        yield ("log", "file"), lambda: os.stat(os.path.dirname(config.log.file))


def _load(cert: str, key: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
