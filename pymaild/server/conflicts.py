"""What the settings of one configuration ask for and cannot have, alone or beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from pymaild.core.errors import ConfigError
from pymaild.core.toml_lines import Path as Place
from pymaild.server import identity
from pymaild.server.config import Config
from pymaild.server.roles import has_tls
from pymaild.server.settings import ListenerSettings

Conflict = tuple[Place, str]  # where it stands in the file, and what is wrong


def conflicts(config: Config) -> Iterator[Conflict]:
    """Find what cannot work before anything is opened."""
    yield from _unknown_names(config)
    yield from _listeners(config)


def check(config: Config) -> None:
    """Raise ConfigError with the first conflict."""
    for place, text in conflicts(config):
        raise ConfigError(f"{_title(place, config)}: {text}")


def key_of(settings: ListenerSettings) -> str:
    """What makes two listeners the same socket; any number may ask for port 0."""
    chosen = settings.address.endswith(":0")
    return f"{settings.name}@{settings.address}" if chosen else settings.address


def _unknown_names(config: Config) -> Iterator[Conflict]:
    server = config.server
    if identity.may_become():  # a private instance has one identity and no choice
        for key in ("user", "tls_user", "auth_user"):
            yield from _unknown(("server", key), user=getattr(server, key))
        yield from _unknown(("server", "group"), group=server.group)
    yield from _unknown(("server", "control_group"), group=server.control_group)
    for number, listener in enumerate(config.listeners):
        yield from _unknown(("listener", number, "group"), group=listener.group)


def _unknown(place: Place, user: str = "", group: str = "") -> Iterator[Conflict]:
    try:
        if user:
            identity.find(user)
        if group:
            identity.find_group(group)
    except ConfigError as error:
        yield place, str(error)


def _listeners(config: Config) -> Iterator[Conflict]:
    seen: set[str] = set()
    for number, listener in enumerate(config.listeners):
        if listener.tls and not has_tls(config):
            yield ("listener", number, "tls"), "needs a [[tls.certificate]], and there is none"
        if listener.client_certificate == "required" and not config.tls.client_ca:
            yield ("listener", number, "client_certificate"), "needs tls.client_ca"
        for key, name in (("name", listener.title), ("address", key_of(listener))):
            if name in seen:
                yield ("listener", number, key), f"another listener has the same {key}"
        seen |= {listener.title, key_of(listener)}


def _title(place: Place, config: Config) -> str:
    section, *rest = place
    if section == "listener" and isinstance(rest[0], int):
        return f"listener {config.listeners[rest[0]].title}: {rest[1]}"
    return ".".join(map(str, place))
