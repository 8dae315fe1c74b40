"""The structure scanner: offsets, sizes and nesting (RFC 2046 §5.1)."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime.parts import Part, find, pack, scan, unpack
from tests.support import corpus

from .samples import well_formed

Outline = Any


def outline(data: bytes, part: Part) -> Outline:
    """A leaf as (header, body), a multipart as [parts], a message as {message}."""
    header = data[part.header_start : part.header_end]
    body = data[part.body_start : part.body_end]
    if part.is_message:
        return (header, {"message": outline(data, part.children[0])})
    if part.children:
        return (header, [outline(data, child) for child in part.children])
    return (header, body)


def crlf_size(data: bytes) -> int:
    """Counted another way than by the code under test."""
    return len(data) + data.count(b"\n") - data.count(b"\r\n")


def check(data: bytes, part: Part) -> None:
    """What holds for every part of every message."""
    header = data[part.header_start : part.header_end]
    body = data[part.body_start : part.body_end]
    assert part.header_start <= part.header_end == part.body_start <= part.body_end <= len(data)
    assert part.header_crlf == crlf_size(header)
    assert part.body_crlf == crlf_size(body)
    assert part.lines == body.count(b"\n")
    at = part.body_start
    for child in part.children:
        assert at <= child.header_start
        assert child.body_end <= part.body_end
        check(data, child)
        at = child.body_end
    if part.is_message:
        assert len(part.children) == 1
        assert (part.children[0].header_start, part.children[0].body_end) == (
            part.body_start,
            part.body_end,
        )


def shape(part: Part) -> Outline:
    """The sizes of a tree in CRLF form, which do not depend on how it is stored."""
    sizes = (part.header_crlf, part.body_crlf, part.lines, part.is_message)
    return (sizes, [shape(child) for child in part.children])


HEAD = b"Content-Type: multipart/mixed; boundary=b\n\n"
TREES: dict[str, tuple[bytes, Outline]] = {
    "nothing": (b"", (b"", b"")),
    "empty line": (b"\n", (b"\n", b"")),
    "only a body": (b"\nx", (b"\n", b"x")),
    "no empty line": (b"A: b\nC: d", (b"A: b\nC: d", b"")),
    "line without colon": (b"A: b\nnot a field\nC: d\n\nx", (b"A: b\nnot a field\nC: d\n\n", b"x")),
    "lone CR is no line end": (b"A: b\r\rC\n\r\nx", (b"A: b\r\rC\n\r\n", b"x")),
    "two parts": (
        HEAD + b"pre\n--b\nA: 1\n\none\n--b\n\ntwo\n--b--\npost\n",
        (HEAD, [(b"A: 1\n\n", b"one"), (b"\n", b"two")]),
    ),
    "last boundary missing": (
        HEAD + b"--b\n\none\n--b\n\ntwo\n",
        (HEAD, [(b"\n", b"one"), (b"\n", b"two\n")]),
    ),
    "cut off in a part's header": (HEAD + b"--b\nA: 1", (HEAD, [(b"A: 1", b"")])),
    "cut off behind a delimiter": (HEAD + b"--b", (HEAD, [(b"", b"")])),
    "header ended by a delimiter": (
        HEAD + b"--b\nA: 1\n--b\n\nx\n--b--",
        (HEAD, [(b"A: 1", b""), (b"\n", b"x")]),
    ),
    "delimiters side by side": (
        HEAD + b"--b\n--b\n\n--b--",
        (HEAD, [(b"", b""), (b"\n", b"")]),
    ),
    "no delimiter found": (HEAD + b"text\n", (HEAD, [(b"", b"")])),
    "only the end": (HEAD + b"--b--\ntext\n", (HEAD, [(b"", b"")])),
    "part behind the end": (HEAD + b"--b\n\n1\n--b--\n--b\n\n2\n", (HEAD, [(b"\n", b"1")])),
    "no boundary parameter": (
        b"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",
        (b"Content-Type: multipart/mixed\n\n", b"--b\n\nx\n--b--\n"),
    ),
    "delimiter with blanks": (
        HEAD + b"--b \t\n\n1\n--b-- \n",
        (HEAD, [(b"\n", b"1")]),
    ),
    "delimiter that goes on (RFC 2046 section 5.1.1)": (
        HEAD + b"--bcd\n\n1\n--b--x\n",
        (HEAD, [(b"\n", b"1")]),
    ),
    "boundary inside a line": (HEAD + b"--b\n\n x--b\n--b--", (HEAD, [(b"\n", b" x--b")])),
    "quoted boundary, folded field": (
        b'CONTENT-TYPE :\n Multipart/Mixed;\n\tboundary="x y\\"z "\n\n--x y"z\n\n1\n--x y"z--\n',
        (
            b'CONTENT-TYPE :\n Multipart/Mixed;\n\tboundary="x y\\"z "\n\n',
            [(b"\n", b"1")],
        ),
    ),
    "boundary in pieces (RFC 2231 section 3)": (
        b"Content-Type: multipart/mixed; boundary*1=d; boundary*0=ab\n\n--abd\n\n1\n--abd--\n",
        (
            b"Content-Type: multipart/mixed; boundary*1=d; boundary*0=ab\n\n",
            [(b"\n", b"1")],
        ),
    ),
    "the first Content-Type counts": (
        b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n1\n",
        (
            b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n",
            b"--b\n\n1\n",
        ),
    ),
    "a name that only begins so": (
        b"Content-Type-X: multipart/mixed; boundary=b\n\n--b\n\n1\n",
        (b"Content-Type-X: multipart/mixed; boundary=b\n\n", b"--b\n\n1\n"),
    ),
    "embedded message": (
        b"Content-Type: message/rfc822\n\nA: 1\n\nx\n",
        (b"Content-Type: message/rfc822\n\n", {"message": (b"A: 1\n\n", b"x\n")}),
    ),
    "embedded nothing": (
        b"Content-Type: message/rfc822\n\n",
        (b"Content-Type: message/rfc822\n\n", {"message": (b"", b"")}),
    ),
    "embedded message cut off by a delimiter": (
        HEAD + b"--b\nContent-Type: message/rfc822\n--b--",
        (HEAD, [(b"Content-Type: message/rfc822", {"message": (b"", b"")})]),
    ),
    "embedded multipart": (
        HEAD
        + b"--b\nContent-Type: message/rfc822\n\n"
        + HEAD.replace(b"=b", b"=c")
        + b"--c\n\n1\n--c--\n--b\n\n2\n--b--\n",
        (
            HEAD,
            [
                (
                    b"Content-Type: message/rfc822\n\n",
                    {"message": (HEAD.replace(b"=b", b"=c"), [(b"\n", b"1")])},
                ),
                (b"\n", b"2"),
            ],
        ),
    ),
    "inner multipart without an end": (
        HEAD + b"--b\n" + HEAD.replace(b"=b", b"=c") + b"--c\n\n1\n--b\n\n2\n--b--\n",
        (HEAD, [(HEAD.replace(b"=b", b"=c"), [(b"\n", b"1")]), (b"\n", b"2")]),
    ),
    "inner boundary longer than the outer one": (
        HEAD + b"--b\n" + HEAD.replace(b"=b", b"=bc") + b"--bc\n\n1\n--bc--\n--b\n\n2\n",
        (HEAD, [(HEAD.replace(b"=b", b"=bc"), [(b"\n", b"1")]), (b"\n", b"2\n")]),
    ),
    "inner boundary shorter than the outer one": (
        HEAD.replace(b"=b", b"=bc") + b"--bc\n" + HEAD + b"--b\n\n1\n--bc\n\n2\n",
        (HEAD.replace(b"=b", b"=bc"), [(HEAD, [(b"\n", b"1")]), (b"\n", b"2\n")]),
    ),
    "digest": (
        b"Content-Type: multipart/digest; boundary=b\n\n"
        b"--b\n\nA: 1\n\nx\n--b\nContent-Type: text/plain\n\ny\n--b--\n",
        (
            b"Content-Type: multipart/digest; boundary=b\n\n",
            [
                (b"\n", {"message": (b"A: 1\n\n", b"x")}),
                (b"Content-Type: text/plain\n\n", b"y"),
            ],
        ),
    ),
    "NUL": (
        b"A: \0\n" + HEAD + b"--b\n\n\0\n--b--\n",
        (b"A: \0\n" + HEAD, [(b"\n", b"\0")]),
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_trees(name: str) -> None:
    """Each broken or odd shape has one reading, whole and in LF and CRLF form alike."""
    data, expected = TREES[name]
    root = scan(data)
    assert outline(data, root) == expected
    check(data, root)
    if b"\r" not in data:
        stored = corpus.crlf(data)
        check(stored, scan(stored))
        assert shape(scan(stored)) == shape(root)


@pytest.mark.parametrize("name", TREES)
def test_every_beginning(name: str) -> None:
    """A message cut off anywhere still has a sound tree."""
    data = corpus.crlf(TREES[name][0])
    for end in range(len(data)):
        check(data[:end], scan(data[:end]))


def compare(data: bytes, part: Part, other: Any) -> None:
    """Compare our tree with the email package's."""
    children = other.get_payload() if other.is_multipart() else []
    assert len(part.children) == len(children)
    if not children:
        text = data[part.body_start : part.body_end]
        assert text == vars(other)["_payload"].encode("ascii", "surrogateescape")
    assert part.is_message == (other.get_content_maintype() == "message" and bool(children))
    for child, theirs in zip(part.children, children, strict=True):
        compare(data, child, theirs)


def test_against_the_email_package() -> None:
    """Over all well-formed samples both find the same parts with the same octets."""
    assert len(well_formed()) > 60
    for data, message in well_formed():
        root = scan(data, max_depth=100)
        check(data, root)
        compare(data, root, message)
        stored = corpus.crlf(data)
        assert shape(scan(stored, max_depth=100)) == shape(root)
        assert pack(unpack(pack(root))) == pack(root)


def test_mapped_file(tmp_path: Path) -> None:
    """A mapped file and a slice of memory read as octets do."""
    data = TREES["embedded multipart"][0]
    path = tmp_path / "message"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert pack(scan(mapped)) == pack(scan(data))
    assert pack(scan(memoryview(b"x" + data)[1:])) == pack(scan(data))


def count(part: Part) -> int:
    return 1 + sum(map(count, part.children))


def depth(part: Part) -> int:
    return 1 + max(map(depth, part.children), default=0)


def test_many_parts() -> None:
    """All of ten thousand parts are found, and past the limit the rest is in the last part."""
    data = HEAD + b"--b\n\nx\n" * 10_000 + b"--b--\n"
    assert len(scan(data, max_parts=20_000).children) == 10_000
    root = scan(data, max_parts=100)
    assert count(root) == 100
    assert root.children[-1].body_end == len(data)
    check(data, root)
    assert count(scan(data, max_parts=1)) == 1


def test_deep_nesting() -> None:
    """Messages within messages, and multiparts within one another, end at the limit."""
    nested = b"Content-Type: message/rfc822\n\n" * 20_000
    twins = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(2_000)
    )
    same = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 2_000
    for data in (nested, twins, same):
        root = scan(data, max_depth=50)
        assert depth(root) <= 51
        check(data, root)
        assert pack(unpack(pack(root))) == pack(root)
    assert depth(scan(nested, max_parts=10**6, max_depth=10**6)) <= 101


def test_large_and_hostile() -> None:
    """Much of what could make a scanner read twice are read once."""
    size = 1 << 18
    heads = b"".join(
        b"Content-Type: multipart/mixed; boundary=%s\n\n--%s\n" % (b"a" * n, b"a" * n)
        for n in range(1, 45)
    )
    for data in (
        heads + b"--\n" * size,
        heads + b"--" + b"a" * size,
        heads + (b"--" + b"a" * 44 + b"\n") * (size // 50),
        b"Content-Type: multipart/mixed; boundary=" + b"b" * size + b"\n\n--" + b"b" * size,
        b"Content-Type: multipart/mixed" + b";" * size + b"\n\n",
        b"Content-Type: " + b"(" * size + b"\n\n",
        b"Content-Type: a/b" + b';x="' * (size // 4) + b"\n\n",
        b"A:\n" * (size // 3),
        b"\n" * size,
    ):
        check(data, scan(data))


LINES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\n",
        b"Content-Type: multipart/digest; boundary=bb\n",
        b"Content-Type: message/rfc822\n",
        b"Content-Type: text/plain\r\n",
        b" folded\n",
        b"--b\n",
        b"--b\r\n",
        b"--bb\n",
        b"--b--\n",
        b"--bb--\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"text\n",
        b"\0",
        b"--",
        b":",
    ]
)


@given(st.lists(LINES, max_size=40).map(b"".join) | st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    """No input raises; sizes, lines and nesting are always right; packing loses nothing."""
    for limits in ((1000, 50), (3, 50), (1000, 2), (0, 0), (-1, -1)):
        root = scan(data, *limits)
        check(data, root)
        copy = unpack(pack(root))
        check(data, copy)
        assert shape(copy) == shape(root)


@given(st.binary(max_size=60))
def test_unpack_refuses_what_it_did_not_write(data: bytes) -> None:
    """Damaged cache content is a ValueError, never a crash."""
    try:
        root = unpack(data)
    except ValueError:
        return
    assert unpack(pack(root)).lines == root.lines


@pytest.mark.parametrize("name", TREES)
def test_unpack_of_cut_off_data(name: str) -> None:
    packed = pack(scan(TREES[name][0]))
    for end in range(len(packed)):
        with pytest.raises(ValueError, match="packed"):
            unpack(packed[:end])
    with pytest.raises(ValueError, match="packed"):
        unpack(packed + b"\0")


NUMBERED = (
    HEAD
    + b"--b\n\none\n--b\nContent-Type: message/rfc822\n\nA: 1\n\nplain\n"
    + b"--b\nContent-Type: message/rfc822\n\n"
    + HEAD.replace(b"=b", b"=c")
    + b"--c\n\ninner one\n--c\n\ninner two\n--c--\n--b--\n"
)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ((1,), b"one"),
        ((2,), b"A: 1\n\nplain"),
        ((2, 1), b"plain"),
        ((3, 1), b"inner one"),
        ((3, 2), b"inner two"),
        ((1, 1), None),
        ((2, 2), None),
        ((2, 1, 1), None),
        ((3, 3), None),
        ((4,), None),
        ((0,), None),
    ],
)
def test_section_numbers(path: tuple[int, ...], body: bytes | None) -> None:
    """RFC 9051 §6.4.5.1, part specifiers."""
    part = find(scan(NUMBERED), path)
    assert body == (part and NUMBERED[part.body_start : part.body_end])


def test_section_numbers_of_a_simple_message() -> None:
    """A message that is no multipart has one part (RFC 9051 §6.4.5.1)."""
    root = scan(b"A: 1\n\nx")
    assert find(root, ()) is root
    assert find(root, (1,)) is root
    assert find(root, (1, 1)) is None
    assert find(root, (2,)) is None
    forwarded = scan(b"Content-Type: message/rfc822\n\nA: 1\n\nx")
    assert find(forwarded, (1,)) is forwarded
    assert find(forwarded, (1, 1)) is forwarded.children[0]
