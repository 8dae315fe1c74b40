"""User names: which are valid, when two are the same, and the paths made of them.

A name is prepared as RFC 8265 §3.3 says (UsernameCaseMapped: width and case mapped, NFC), and
is stricter where a name becomes a part of a path or of a line: no ``/`` or ``:``, and neither
its local part nor its domain may be empty or start with a dot. The directionality rule is left
out: it protects the reader of a name, and names are only compared here.
"""

from __future__ import annotations

import re
import stringprep
import unicodedata

#: Octets of a prepared name: RFC 4616 §2 wants 255, a file name can have no more.
LONGEST_NAME = 255
#: Octets of a password. RFC 4616 §2 wants at least 255.
LONGEST_PASSWORD = 1024

_USUAL = re.compile(r"[a-z0-9_][a-z0-9._+=-]{0,63}(?:@[a-z0-9][a-z0-9.-]{0,180})?", re.ASCII)
_LETTER_DIGITS = frozenset(("Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"))  # RFC 8264 §9.1
#: RFC 4013 §2.3.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_FORBIDDEN = (*_PROHIBITED, stringprep.in_table_a1)  # §2.5
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def prepare_name(name: str) -> str:
    """Return the form in which names are compared. Raises ValueError, naming what is wrong."""
    if _USUAL.fullmatch(name):
        return name
    if len(name) > LONGEST_NAME:
        raise ValueError("longer than a user name may be")
    prepared = unicodedata.normalize("NFC", "".join(map(_width, name)).lower())
    if not all(map(_allowed, prepared)):
        raise ValueError("character that no user name may have")
    if len(prepared.encode()) > LONGEST_NAME:
        raise ValueError("longer than a user name may be")
    local, domain = split_name(prepared)
    if not local or local.startswith(".") or domain.startswith(".") or prepared.endswith("@"):
        raise ValueError("empty, or a part of it empty or beginning with a dot")
    return prepared


def prepare_login(name: str) -> str:
    """Return the name that a client means: what SASLprep maps (RFC 4013 §2.1) is mapped first.

    RFC 4616 §2 and RFC 5802 §5.1 ask for that; RFC 8265 allows fewer characters and so forbids
    what is mapped here. Raises ValueError as :func:`prepare_name` does.
    """
    if name.isascii() or len(name) > LONGEST_NAME:
        return prepare_name(name)
    return prepare_name(unicodedata.normalize("NFKC", _mapped(name)))


def split_name(name: str) -> tuple[str, str]:
    """Split at the last ``@``; the domain is "" when there is none."""
    local, at, domain = name.rpartition("@")
    return (local, domain) if at else (domain, "")


def prepare_password(password: bytes) -> tuple[bytes, ...]:
    """Return the forms to try, the prepared one (RFC 8265 §4.2, OpaqueString) first.

    The second is what the client sent: the hashes of other servers were made from that.
    Raises ValueError for what cannot be a password: empty, too long, NUL, not UTF-8.
    """
    if not 0 < len(password) <= LONGEST_PASSWORD or b"\0" in password:
        raise ValueError("not a password")
    if password.isascii():
        return (password,)
    spaced = (" " if unicodedata.category(c) == "Zs" else c for c in password.decode())
    prepared = unicodedata.normalize("NFC", "".join(spaced)).encode()
    return (prepared,) if prepared == password else (prepared, password)


def is_forbidden(text: str) -> bool:
    """Say whether SASLprep forbids a query with this name or password (RFC 4013 §2.3)."""
    if text.isascii() and text.isprintable():
        return False  # of ASCII it forbids control characters alone
    return any(table(c) for c in _mapped(text) for table in _PROHIBITED)


def prepare_scram_password(password: bytes) -> bytes:
    """Return the form that SCRAM makes keys of: SASLprep (RFC 4013), as RFC 5802 §2.2 has it.

    What SASLprep forbids or does not know (Unicode has grown since) is taken as it is: clients
    that do not refuse such passwords do the same. ``password`` is UTF-8.
    """
    if password.isascii() or not (text := _sasl_prepared(password.decode())):
        return password
    return text.encode()


def placeholders(template: str) -> set[str]:
    """Return the names that stand in braces."""
    return set(_PLACEHOLDER.findall(template))


def expand(template: str, name: str) -> str:
    """Fill {user}, {local} and {domain} of a path template with the parts of a prepared name.

    Raises ValueError where a part is empty: the path would lead into another user's directory.
    """
    local, domain = split_name(name)
    values = {"user": name, "local": local, "domain": domain}

    def value(match: re.Match[str]) -> str:
        if not values.get(match[1]):
            raise ValueError(f"the name has nothing to put for {match[0]}")
        return values[match[1]]

    return _PLACEHOLDER.sub(value, template)


def _sasl_prepared(text: str) -> str:
    """Return the form of RFC 4013 §2, or "" where it allows none."""
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", _mapped(text))
    bad = any(table(c) for c in prepared for table in _FORBIDDEN)
    return "" if bad or not _directed(prepared) else prepared


def _mapped(text: str) -> str:
    """RFC 4013 §2.1: all spaces are one, and what has no shape is nothing."""
    spaced = (" " if stringprep.in_table_c12(c) else c for c in text)
    return "".join(c for c in spaced if not stringprep.in_table_b1(c))


def _directed(text: str) -> bool:
    """RFC 3454 §6: right-to-left text has nothing of the other, and begins and ends with itself."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))


def _width(character: str) -> str:
    """Map a full-width or half-width character to its ordinary form (RFC 8265 §3.3.2)."""
    kind = unicodedata.decomposition(character).partition(" ")[0]
    return unicodedata.normalize("NFKC", character) if kind in ("<wide>", "<narrow>") else character


def _allowed(character: str) -> bool:
    """Tell whether the IdentifierClass (RFC 8264 §4.2) and our paths have the character."""
    if character.isascii():
        return "!" <= character <= "~" and character not in "/:"
    compatible = unicodedata.normalize("NFKC", character) == character
    return compatible and unicodedata.category(character) in _LETTER_DIGITS
