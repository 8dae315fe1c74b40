"""Header fields: finding, selecting and decoding them."""

from __future__ import annotations

import binascii
import codecs
from collections.abc import Iterator, Set
from encodings.aliases import aliases
from typing import NamedTuple

from pymaild.mime._fields import collect, split, unfold
from pymaild.mime._fields import select as _select
from pymaild.mime.content import Parameters
from pymaild.mime.octets import Octets

__all__ = ["codec", "decode", "decode_parameters", "field", "select", "split", "unfold"]

#: Python codecs that are charsets of mail. Others are none (`hex`), may grow without bound
#: (`bz2`) or take quadratic time (`punycode`), and a name from a message must not choose them.
_CODEC_NAMES = """
    ascii latin_1 utf_8 utf_7 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le
    big5 big5hkscs cp932 cp949 cp950 euc_jis_2004 euc_jisx0213 euc_jp euc_kr
    gb18030 gb2312 gbk hz iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3
    iso2022_jp_ext iso2022_kr johab shift_jis shift_jis_2004 shift_jisx0213
    iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9
    iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16
    koi8_r koi8_u koi8_t kz1048 ptcp154 tis_620 hp_roman8 mac_cyrillic mac_greek mac_iceland
    mac_latin2 mac_roman mac_turkish cp037 cp437 cp737 cp775 cp850 cp852 cp855 cp857 cp858
    cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp1006 cp1125 cp1250 cp1251 cp1252
    cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
"""
_CODECS = frozenset(_CODEC_NAMES.split())


def _plain_name(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


#: Charset name without punctuation -> Python codec. WHATWG reads latin-1 as windows-1252 and has
#: more names than Python.
_CHARSETS: dict[str, str] = {
    **{_plain_name(alias): name for alias, name in aliases.items() if name in _CODECS},
    **{_plain_name(name): name for name in _CODECS},
    "iso88591": "cp1252",
    "latin1": "cp1252",
    "iso88596i": "iso8859_6",
    "iso88596e": "iso8859_6",
    "iso88598i": "iso8859_8",
    "iso88598e": "iso8859_8",
    "xsjis": "cp932",
    "windows31j": "cp932",
    "gb2312": "gb18030",
    "xgbk": "gb18030",
    "cngb": "gb18030",
    "xxbig5": "big5hkscs",
    "xeucjp": "euc_jp",
    "isoir149": "cp949",
    "windows874": "cp874",
    **{f"xcp{page}": f"cp{page}" for page in range(1250, 1259)},
    "koi8ru": "koi8_u",
    "unicode11utf7": "utf_7",
    "xmaccyrillic": "mac_cyrillic",
    "xmacroman": "mac_roman",
    "macintosh": "mac_roman",
    "ansix341968": "ascii",
}

_LONGEST_CHARSET = 40


def codec(charset: str) -> str | None:
    """Return the Python codec of a charset's name, None for an unknown one."""
    if len(charset) > _LONGEST_CHARSET:
        return None
    return _CHARSETS.get(_plain_name(charset))


def guess(data: bytes) -> str:
    """Decode octets of no known charset: UTF-8 where they are that, else windows-1252."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def decode_charset(data: bytes, charset: str) -> str:
    """Decode by a charset's name; an unknown one, or one that is ASCII, is guessed."""
    name = codec(charset)
    if name is None or name in ("ascii", "utf_8"):
        return guess(data)
    return codecs.decode(data, name, "replace")


def field(header: Octets, name: bytes) -> list[bytes]:
    """Return the values of the fields `name` (any case), unfolded, in order."""
    values = collect(header, {name.upper(): 0})[0]
    return [unfold(value) for value in values or ()]


def select(header: Octets, names: Set[bytes], negate: bool = False) -> bytes:
    """Return the lines of the fields in `names` (upper case), or of all others, in CRLF form.

    For BODY[HEADER.FIELDS (...)] and HEADER.FIELDS.NOT (RFC 9051 §6.4.5.1). The empty line
    follows, except where the header has none.
    """
    return _select(header, names, negate)


class _Word(NamedTuple):
    """An encoded word: its charset and octets, and where it ends in the text."""

    charset: bytes
    octets: bytes
    end: int


def decode(value: bytes) -> str:
    """Return a field's value as text: unfolded, encoded words decoded (RFC 2047).

    Blanks between encoded words are dropped, a character cut between two words of one charset
    is put together, and words that break the rules (too long, with blanks, inside quotes) are
    decoded all the same. Other octets are taken for UTF-8 or windows-1252.
    """
    value = unfold(value)
    if b"=?" not in value:
        return guess(value)
    return "".join(
        guess(octets) if charset is None else decode_charset(octets, charset)
        for octets, charset in _runs(value)
    )


def decode_exactly(value: bytes) -> str | bytes:
    """Return a field's value as text, or its octets where they are none (RFC 5255 §4.6).

    That is so when a charset is unknown, or octets are not what theirs allows. The octets are
    those that encoded words stand for.
    """
    value = unfold(value)
    runs = list(_runs(value)) if b"=?" in value else [(value, None)]
    try:
        return "".join(octets.decode(_exact_codec(charset)) for octets, charset in runs)
    except (LookupError, UnicodeDecodeError):
        return b"".join(octets for octets, _ in runs)


def _exact_codec(charset: str | None) -> str:
    """Return the codec of a charset, for no charset that of RFC 6532. Raises LookupError."""
    name = "utf_8" if charset is None else codec(charset)
    if name is None:
        raise LookupError(charset)
    return "utf_8" if name == "ascii" else name


def _runs(value: bytes) -> Iterator[tuple[bytes, str | None]]:
    """Octets and their charset: of words of one charset, or None for what stands between."""
    charset, octets, done = b"", bytearray(), 0
    for start, word in _words(value):
        between = value[done:start]
        if octets and (between.strip() or word.charset != charset):
            yield bytes(octets), charset.decode("ascii", "replace")
            octets = bytearray()
        if between.strip() or done == 0:
            yield between, None
        charset, done = word.charset, word.end
        octets += word.octets
    if octets:
        yield bytes(octets), charset.decode("ascii", "replace")
    yield value[done:], None


def _words(value: bytes) -> Iterator[tuple[int, _Word]]:
    """The encoded words and where they start. A `?=` is searched once: linear time."""
    at, last = 0, value.rfind(b"?=")
    while 0 <= (start := value.find(b"=?", at)) < last:
        word = _word(value, start)
        if word is None:
            at = start + 2
        else:
            yield start, word
            at = word.end


def _word(value: bytes, start: int) -> _Word | None:
    """Read =?charset?encoding?text?= at `start` (RFC 2047 §2)."""
    first = value.find(b"?", start + 2, start + 2 + _LONGEST_CHARSET)
    if first < 0 or value[first + 2 : first + 3] != b"?":
        return None
    decoder = _WORD_DECODERS.get(value[first + 1 : first + 2].upper())
    if decoder is None:
        return None
    end = value.find(b"?=", first + 3)
    if end < 0:
        return None
    charset = value[start + 2 : first].partition(b"*")[0]  # RFC 2231 §5: charset*language
    return _Word(charset.lower(), decoder(value[first + 3 : end]), end + 2)


def _decoded(octets: bytes | bytearray, charset: bytes) -> str:
    return decode_charset(bytes(octets), charset.decode("ascii", "replace"))


def _decode_q(text: bytes) -> bytes:
    return binascii.a2b_qp(text, header=True)


NOT_BASE64 = bytes(
    octet
    for octet in range(256)
    if octet not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)


def decode_base64(text: bytes) -> bytes:
    """Decode base64, whatever else stands between; a last lone digit is dropped."""
    digits = text.translate(None, NOT_BASE64)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


_WORD_DECODERS = {b"Q": _decode_q, b"B": decode_base64}


def decode_parameters(given: Parameters) -> list[tuple[str, str]]:
    """Return parameters as text: extended ones (`name*`) and encoded words decoded.

    RFC 2231 §4; that encoded words may not stand in parameters is unknown to many senders.
    """
    return [_decode_parameter(name, value) for name, value in given]


def _decode_parameter(name: bytes, value: bytes) -> tuple[str, str]:
    if not name.endswith(b"*"):
        return guess(name), decode(value)
    charset, quote, rest = value.partition(b"'")
    encoded = rest.partition(b"'")[2] if quote else value
    return guess(name[:-1]), _decoded(_percent_decoded(encoded), charset if quote else b"")


def _percent_decoded(value: bytes) -> bytes:
    """Undo %XX in linear time; a % without two digits stays."""
    first, *rest = value.split(b"%")
    return first + b"".join(
        _HEX.get(piece[:2].upper(), b"%" + piece[:2]) + piece[2:] for piece in rest
    )


_HEX = {b"%02X" % octet: bytes([octet]) for octet in range(256)}
