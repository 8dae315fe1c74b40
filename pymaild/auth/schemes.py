"""Password hashes: the schemes that a passwd-file or /etc/shadow may hold.

A stored password is ``{SCHEME}hash``, or a bare hash as crypt(3) writes it. New passwords are
ARGON2ID (RFC 9106); the others are there so that users of other servers keep theirs.
"""

from __future__ import annotations

import ctypes
import hmac
import os
import re
import string
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import argon2
import bcrypt

from pymaild.auth.claims import Credential
from pymaild.auth.names import prepare_password, prepare_scram_password
from pymaild.auth.scram import SALT_SIZE, derive, read_keys, write_keys

#: Large enough for the struct crypt_data of every C library (glibc's own has 131,232 octets).
_CRYPT_DATA_SIZE = 1 << 18
_CRYPT_LONGEST = 511  # octets of a password; crypt(3) fails beyond
_CRYPT_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)  # None: crypt is in the C library
_NO_MEMORY = argon2.low_level.error_to_str(-22)  # ARGON2_MEMORY_ALLOCATION_ERROR
_STORED = re.compile(r"\{([A-Za-z0-9.-]{1,32})\}(.*)", re.DOTALL)


class BadHash(ValueError):
    """A stored password that nothing can be compared with; the text does not contain it."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one scheme is checked: ``verify(hash, password)`` raises BadHash or ValueError.

    ``prefixes`` are what its hashes begin with, ``slow`` that a check takes milliseconds.
    """

    verify: Callable[[str, bytes], bool]
    prefixes: tuple[str, ...]
    slow: bool = True


def verify(stored: str, password: bytes) -> bool:
    """Tell whether ``password`` (prepared or as sent, see names) is the stored one.

    Wrong passwords of one length take one time, however much of them is right.
    Raises BadHash, and MemoryError when there is not enough to compute the hash.
    """
    scheme, rest = _find(stored)
    try:
        return any(scheme.verify(rest, form) for form in prepare_password(password))
    except (ValueError, argon2.exceptions.InvalidHashError) as error:
        raise BadHash("the stored hash is damaged") from error


def problem(stored: str) -> str:
    """Return why nobody can log in with ``stored``, or "" when it looks usable."""
    try:
        _find(stored)
    except BadHash as error:
        return str(error)
    return ""


def is_slow(stored: str) -> bool:
    """Tell whether :func:`verify` takes milliseconds; it fails at once where it must."""
    try:
        return _find(stored)[0].slow
    except BadHash:
        return False


def scheme_name(stored: str) -> str:
    """Return the scheme's name for lists, "" where it cannot be told."""
    named = _STORED.fullmatch(stored)
    return named[1].upper() if named else _by_prefix(stored)


def make_hash(password: bytes, memory: int, passes: int, parallelism: int) -> str:
    """Return ``{ARGON2ID}...`` for a new password; ``memory`` in octets.

    Raises ValueError for what cannot be a password.
    """
    prepared = prepare_password(password)[0]
    hasher = argon2.PasswordHasher(passes, memory // 1024, parallelism)
    return "{ARGON2ID}" + hasher.hash(prepared)


def make_keys(method: str, password: bytes, iterations: int) -> str:
    """Return ``{SCRAM-SHA-...}...`` for a new password; ``method`` is a hash of SCRAM_METHODS.

    Raises ValueError for what cannot be a password.
    """
    prepare_password(password)
    salt = os.urandom(SALT_SIZE)
    keys = derive(method, prepare_scram_password(password), salt, iterations)
    return f"{{{SCRAM_METHODS[method]}}}{write_keys(salt, iterations, keys)}"


def credential(stored: str, method: str) -> Credential | bytes | None:
    """Return what SCRAM can do with a stored password.

    The credential where keys of this hash are stored, the password itself where that is stored,
    None where nothing helps.
    """
    try:
        scheme, rest = _find(stored)
        if scheme is SCHEMES[SCRAM_METHODS[method]]:
            return read_keys(method, rest)
        return prepare_password(rest.encode())[0] if scheme.verify is _plain else None
    except ValueError:
        return None


def make_decoy(memory: int, passes: int, parallelism: int) -> str:
    """Return a hash like :func:`make_hash` does, of no password, without the work."""
    salt, digest = (b64encode(os.urandom(n)).decode().rstrip("=") for n in (16, 32))
    costs = f"m={memory // 1024},t={passes},p={parallelism}"
    return f"{{ARGON2ID}}$argon2id$v=19${costs}${salt}${digest}"


def _argon2(stored: str, password: bytes) -> bool:
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except argon2.exceptions.VerificationError as error:
        if str(error) == _NO_MEMORY:
            raise MemoryError("no memory to check an ARGON2ID password") from error
        raise BadHash("not a hash of ARGON2ID") from error


def _bcrypt(stored: str, password: bytes) -> bool:
    # The algorithm sees 72 octets; the module refuses more where crypt(3) cuts.
    return bcrypt.checkpw(password[:72], stored.encode())


def _crypt(stored: str, password: bytes) -> bool:
    if len(password) > _CRYPT_LONGEST:
        return False
    setting = stored.encode()
    data = ctypes.create_string_buffer(_CRYPT_DATA_SIZE)
    result: bytes | None = _crypt_function()(password, setting, data)
    if result is None or result.startswith(b"*"):  # crypt(3): a token that is no hash
        raise BadHash("crypt(3) does not know this hash")
    if len(result) != len(setting):
        raise BadHash("the stored hash is cut short")
    return hmac.compare_digest(result, setting)


def _scram(method: str, stored: str, password: bytes) -> bool:
    known = read_keys(method, stored)
    prepared = prepare_scram_password(password)
    keys = derive(method, prepared, known.salt, known.iterations)
    return hmac.compare_digest(keys.stored, known.keys().stored)


def _plain(stored: str, password: bytes) -> bool:
    key = os.urandom(32)  # digests have one length, so that the time says nothing of it
    ours, theirs = (hmac.digest(key, text, "sha256") for text in (stored.encode(), password))
    return hmac.compare_digest(ours, theirs)


@cache
def _crypt_function() -> Callable[..., bytes | None]:
    """Return crypt_r(3). Called through ctypes it lets other threads run meanwhile."""
    for name in _CRYPT_LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        return function
    raise BadHash("this host has no crypt_r(3)")


#: SCRAM's hashes, and the schemes of their keys.
SCRAM_METHODS = {"sha256": "SCRAM-SHA-256", "sha1": "SCRAM-SHA-1"}

#: The schemes by name. CRYPT is whatever the host's crypt(3) knows, yescrypt included.
SCHEMES: dict[str, Scheme] = {
    "ARGON2ID": Scheme(_argon2, ("$argon2id$",)),
    "ARGON2I": Scheme(_argon2, ("$argon2i$",)),
    "BLF-CRYPT": Scheme(_bcrypt, ("$2a$", "$2b$", "$2y$")),
    "SHA512-CRYPT": Scheme(_crypt, ("$6$",)),
    "SHA256-CRYPT": Scheme(_crypt, ("$5$",)),
    "MD5-CRYPT": Scheme(_crypt, ("$1$",)),
    "CRYPT": Scheme(_crypt, tuple("$_./" + string.ascii_letters + string.digits)),
    **{
        name: Scheme(partial(_scram, method), tuple("123456789"))
        for method, name in SCRAM_METHODS.items()
    },
    "PLAIN": Scheme(_plain, ("",), slow=False),
    "CLEARTEXT": Scheme(_plain, ("",), slow=False),
}
#: What a bare hash may be, in the order in which prefixes are tried; else it is CRYPT.
_BARE = ("ARGON2ID", "ARGON2I", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "MD5-CRYPT")


def _find(stored: str) -> tuple[Scheme, str]:
    """Return the scheme and the hash behind its name. Raises BadHash."""
    named = _STORED.fullmatch(stored)
    name, rest = (named[1].upper(), named[2]) if named else (_by_prefix(stored), stored)
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise BadHash("no password" if not stored else f"unknown scheme {{{name}}}")
    if not rest or not rest.startswith(scheme.prefixes):
        raise BadHash(f"not a hash of {name}")
    return scheme, rest


def _by_prefix(stored: str) -> str:
    if not stored:
        return ""
    return next((n for n in _BARE if stored.startswith(SCHEMES[n].prefixes)), "CRYPT")
