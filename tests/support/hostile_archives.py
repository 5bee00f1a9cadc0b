"""Archives that try something, each with the code it must be refused by; and odd ones that are fine (no code).

Made from the rules, not collected: PyPI's reject list, Fifield's overlapping files, the Zip Slip advisories, the
billion laughs, and the names that file systems disagree about. Nothing here is written to a path it names.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.raw_zip import (
    DESCRIPTOR_FLAG,
    LARGE,
    UTF8_FLAG,
    End,
    Raw,
    deflate,
    descriptor,
    extra_field,
    make_zip,
    streamed,
    unicode_path,
)

INDEX = Raw("index.html", b"<!doctype html><html lang=en><title>App</title><p>Hello</p></html>")
SCRIPT = Raw("app.js", b"document.title;")


@dataclass(frozen=True)
class Case:
    """One archive.

    Attributes:
        code: of the error it must be refused by; empty when it is fine.
        make: its bytes; a function, because some are large.
    """

    name: str
    code: str
    make: Callable[[], bytes]


def cases() -> list[Case]:
    """Return the whole corpus."""
    found = [
        Case(f"{code or 'fine'} {name}", code, make)
        for part in (_names, _twins, _kinds, _packing, _ends, _large_sizes, _headers, _sizes, _inner, _xml, _fine)
        for code, name, make in part()
    ]
    assert len({case.name for case in found}) == len(found)
    return found


Made = Iterator[tuple[str, str, Callable[[], bytes]]]

_NAMES: dict[str, tuple[bytes | str, ...]] = {
    "archive.name_traversal": (
        "../x.js", "a/../../x.js", "..", "a/..", "./x.js", "a/./b.js", "a//b.js", "../../../../etc/passwd", "a/../b.js",
        "../", "a/b/../../../c.js", ".",
    ),
    "archive.name_absolute": ("/etc/passwd", "/x.js", "/", "/../x.js", "/index.html"),
    "archive.name_volume": (
        "C:/x.js", "c:x.js", "C:\\x.js", "\\\\server\\share\\x.js", "//server/share/x.js", "\\\\?\\C:\\x.js", "z:",
        "//",
        "\\\\.\\pipe\\x",
    ),
    "archive.name_backslash": ("a\\b.js", "..\\x.js", "\\x.js", "a\\..\\..\\b.js", "a/b\\c.js", "x\\"),
    "archive.name_control": (
        "a\x00.js", "index.html\x00.png", "a\nb.js", "a\rb.js", "a\tb.js", "a\x1b[2J.js", "a\x7f.js", "a\x80.js",
        "\x00",
    ),
    "archive.name_invisible": (
        "a\u202egpj.js", "a\u200b.js", "a\u2066b.js", "\ufeffa.js", "a\u00adb.js", "a\u2028b.js", "a\ue000.js",
        "a\u00a0b.js",
        "a\u3000b.js", "a\u0378.js", "a\U000e0001.js", "a\u200db.js", "d\u202e/x.js",
    ),
    "archive.name_encoding": (
        b"caf\x82.js", b"\xff\xfe.js", b"caf\xe9.js", b"\xc0\xae\xc0\xae/x.js", b"\xed\xa0\x80.js", b"x\xc3",
        b"\xf8\x88.js",
    ),
    "archive.name_reserved": (
        "con", "CON.txt", "aux.js", "nul", "prn.html", "com1", "lpt9.txt", "a/con/b.js", "conin$", "com\u00b9.js",
        "nul .txt",
        "a/Aux.tar.js", "COM0.js",
    ),
    "archive.name_trailing": ("a.", "a ", "a./b.js", " a.js", "a /b.js", "a/ b.js", "a.js."),
    "archive.name_long": ("x" * 300 + ".js", "é" * 101, "a/" + "b" * 199, "\u4e00" * 67),
    "archive.name_deep": ("a/" * 900 + "x.js", "a/" * 16 + "x.js", "a/" * 17, "b/" * 5000),
    "pack.path_refused": ("a?b.js", 'a"b.js', "a<b.js", "a|b.js", "a*b.js", "100%.js", "a#b.js", "ab:c.js"),
}  # fmt: skip


def _names() -> Made:
    for code, names in _NAMES.items():
        for name in names:
            yield code, ascii(name)[:60], _zip(INDEX, Raw(name))


def _twins() -> Made:
    for one, other in (
        ("a.js", "A.js"), ("index.HTML", "x.js"), ("Dir/x.js", "dir/y.js"), ("straße.js", "strasse.js"),
        ("a/B.js", "A/b.js"),
        ("σ.js", "ς.js"), ("É.js", "é.js"),
    ):  # fmt: skip
        yield "archive.case_twins", f"{one} {other}", _zip(INDEX, Raw(one), Raw(other))
    for one, other in (
        ("é.js", "e\u0301.js"), ("ﬁ.js", "fi.js"), ("ａ.js", "a.js"), ("\u212b.js", "\u00c5.js"),
        ("é/a.js", "e\u0301/b.js"),
        ("①.js", "1.js"), ("\ud55c.js", "\u1112\u1161\u11ab.js"),
    ):  # fmt: skip
        yield "archive.unicode_twins", ascii(one + " " + other), _zip(INDEX, Raw(one), Raw(other))
    yield "archive.duplicate", "same content", _zip(INDEX, SCRIPT, SCRIPT)
    yield "archive.duplicate", "other content", _zip(INDEX, SCRIPT, Raw("app.js", b"other"))
    yield "archive.duplicate", "index", _zip(INDEX, SCRIPT, INDEX)
    yield "archive.duplicate", "folders", _zip(INDEX, _folder("d/"), _folder("d/"))
    yield "archive.duplicate", "among many", _zip(INDEX, *[Raw(f"{n}.js") for n in range(200)], Raw("77.js"))
    yield "archive.file_and_folder", "file first", _zip(INDEX, Raw("a"), Raw("a/b.js"))
    yield "archive.file_and_folder", "folder first", _zip(INDEX, Raw("a/b.js"), Raw("a"))
    yield "archive.file_and_folder", "listed folder", _zip(INDEX, _folder("a/"), Raw("a"))
    yield "archive.file_and_folder", "listed folder last", _zip(INDEX, Raw("a"), _folder("a/"))
    yield "archive.file_and_folder", "deep", _zip(INDEX, Raw("a/b/c"), Raw("a/b/c/d/e.js"))


def _kinds() -> Made:
    target = b"/etc/passwd"
    yield "archive.link", "to a file", _zip(INDEX, Raw("l.js", target, mode=stat.S_IFLNK | 0o777))
    yield "archive.link", "said to be made on DOS", _zip(INDEX, Raw("l.js", target, mode=stat.S_IFLNK, made_by=0))
    yield (
        "archive.link",
        "said to be made on a Mac",
        _zip(INDEX, Raw("l.js", target, mode=stat.S_IFLNK, made_by=19 << 8)),
    )
    yield "archive.link", "as a folder", _zip(INDEX, Raw("l/", b"", mode=stat.S_IFLNK))
    yield "archive.link", "index", _zip(Raw("index.html", target, mode=stat.S_IFLNK | 0o777))
    yield "archive.link", "reparse point", _zip(INDEX, Raw("l.js", target, mode=0, low_attributes=0x400))
    for name, kind in (
        ("block", stat.S_IFBLK), ("character", stat.S_IFCHR), ("pipe", stat.S_IFIFO), ("socket", stat.S_IFSOCK),
        ("door", 0o150000), ("whiteout", 0o160000), ("folder without a slash", stat.S_IFDIR), ("unknown", 0o030000),
    ):  # fmt: skip
        yield "archive.device", name, _zip(INDEX, Raw("d.js", b"", mode=kind | 0o666))
    yield "archive.device", "file with a slash", _zip(INDEX, Raw("d/", b"", mode=stat.S_IFREG))


def _packing() -> Made:
    for flags in (0x0001, 0x0041, 0x2000, 0x0040):
        yield "archive.encrypted", f"flags {flags:04x}", _zip(INDEX, Raw("x.js", flags=UTF8_FLAG | flags))
    yield "archive.encrypted", "AES", _zip(INDEX, Raw("x.js", method=99, flags=UTF8_FLAG | 1))
    yield "archive.encrypted", "AES without its flag", _zip(INDEX, Raw("x.js", method=99))
    for method in (1, 2, 6, 7, 9, 10, 12, 14, 93, 95, 96, 97, 98, 0xFFFF):
        yield "archive.method_unknown", f"method {method}", _zip(INDEX, Raw("x.js", method=method))
    yield "archive.method_unknown", "patch", _zip(INDEX, Raw("x.js", flags=UTF8_FLAG | 0x20))


def _ends() -> Made:
    code, plain = "archive.ambiguous", make_zip([INDEX, SCRIPT])
    yield code, "hidden entry first", _zip(Raw("evil.js", hidden=True), INDEX)
    yield code, "hidden entry between", _zip(INDEX, Raw("evil.js", hidden=True), SCRIPT)
    yield code, "hidden entry last", _zip(INDEX, Raw("evil.js", hidden=True))
    yield code, "bytes between", _zip(INDEX, Raw("x.js", before=b"?"))
    yield code, "bytes after the last file", _end(End(before_directory=b"?" * 100))
    yield code, "bytes after the list", _end(End(after_directory=b"?" * 10))
    yield code, "empty record after the list", _end(End(after_directory=b"PK\x05\x05\x00\x00"))
    yield code, "one byte after the end", _end(End(trailing=b"\n"))
    yield code, "many bytes after the end", _end(End(trailing=b"x" * 5000))
    yield code, "two archives", lambda: plain + make_zip([INDEX])
    yield code, "two equal archives", lambda: plain + plain
    yield code, "second end in the comment", _end(End(comment=plain[-22:] + b"abc"))
    yield code, "second end is the comment", _end(End(comment=plain[-22:]))
    yield code, "second end in a file's comment", _zip(INDEX, Raw("x.js", comment=plain[-22:]))
    yield code, "comment shorter than said", lambda: plain[:-2] + b"\x05\x00abc"
    yield code, "comment longer than said", lambda: plain[:-2] + b"\x02\x00abc"
    yield code, "fewer files than listed", _end(End(count=1))
    yield code, "more files than listed", _end(End(count=3))
    yield code, "no files said", _end(End(count=0))
    yield code, "several disks", _end(End(disk=1))
    yield code, "list on another disk", _end(End(first_disk=1))
    yield code, "some files on other disks", _end(End(count_here=1))
    yield code, "list said to begin earlier", _end(End(directory_offset=10))
    yield code, "list said to be shorter", _end(End(directory_bytes=60))
    for text in (b"MZ\x90\x00", b"\x89PNG\r\n\x1a\n", b"#!/bin/sh\n", b"GIF89a", b"<html>"):
        yield "import.unsupported", f"begins with {text!r}", _bytes(text + plain)
    yield "import.unsupported", "begins as a document", _bytes(b"%PDF-1.7\n" + plain)
    yield "import.unsupported", "nothing", _bytes(b"")
    yield "import.unsupported", "zeros", _bytes(bytes(10_000))
    yield "import.unsupported", "empty archive", _zip()
    yield "import.unsupported", "no first page", _zip(SCRIPT)
    yield "import.unsupported", "first page too deep", _zip(Raw("a/b/index.html", INDEX.content))
    yield "import.unsupported", "two folders", _zip(Raw("a/index.html", INDEX.content), Raw("b/x.js"))
    for cut in (5, 30, 60, len(plain) // 2, len(plain) - 30, len(plain) - 22, len(plain) - 1):
        yield "archive.malformed", f"cut after {cut} bytes", _bytes(plain[:cut])
    yield "archive.malformed", "list outside", _end(End(directory_offset=10**6))
    yield "archive.malformed", "list said to be longer", _end(End(directory_bytes=10**6))
    yield "archive.malformed", "list that is none", lambda: plain.replace(b"PK\x01\x02", b"PK\x01\x03")
    yield "archive.malformed", "extra field outside", _zip(INDEX, Raw("x.js", extra=b"\x01\x02\xff\xff"))
    yield "archive.malformed", "local extra field outside", _zip(INDEX, Raw("x.js", local_extra=b"\x01\x02\xff\xff"))


def _large_sizes() -> Made:
    code, wide = "archive.wide_sizes", struct.Struct("<Q").pack
    yield code, "count without record", _end(End(count=0xFFFF))
    yield code, "offset without record", _end(End(directory_offset=LARGE))
    yield code, "size without record", _end(End(directory_bytes=LARGE))
    for name, value in (
        ("count", 1), ("count", 2**63), ("directory_bytes", 1), ("directory_offset", 5),
        ("directory_offset", 2**64 - 1),
        ("offset", 0), ("offset", 2**63), ("rest_bytes", 43), ("rest_bytes", 2**62), ("disk", 1), ("disks", 2),
        ("disks", 0),
        ("count_here", 1),
    ):  # fmt: skip
        yield code, f"{name} {value}", _end(End(zip64={name: value}))
    lying = {"count": LARGE, "directory_bytes": 2**40}
    yield code, "both differ", _end(End(zip64=lying))
    yield code, "size without its field", _zip(INDEX, Raw("x.js", listed_size=LARGE))
    yield code, "packed without its field", _zip(INDEX, Raw("x.js", listed_packed=LARGE))
    yield code, "offset without its field", _zip(INDEX, Raw("x.js", listed_offset=LARGE))
    yield code, "field without need", _zip(INDEX, Raw("x.js", extra=extra_field(1, wide(7))))
    yield code, "field too short", _zip(INDEX, Raw("x.js", listed_size=LARGE, extra=extra_field(1, b"\x07\x00")))
    yield code, "field too long", _zip(INDEX, Raw("x.js", listed_size=LARGE, extra=extra_field(1, wide(7) * 2)))
    twice = extra_field(1, wide(7)) * 2
    yield code, "field twice", _zip(INDEX, Raw("x.js", listed_size=LARGE, extra=twice))
    yield code, "another disk", _zip(INDEX, Raw("x.js", listed_disk=1))
    local = extra_field(1, wide(9) + wide(9))
    yield (
        code,
        "local field that differs",
        _zip(INDEX, Raw("x.js", local_packed=LARGE, local_size=LARGE, local_extra=local)),
    )
    yield code, "local size without its field", _zip(INDEX, Raw("x.js", local_size=LARGE))


def _headers() -> Made:
    code, other = "archive.header_differs", b"other contents"
    yield code, "name", _zip(INDEX, Raw("x.js", local_name=b"y.js"))
    yield code, "name that escapes", _zip(INDEX, Raw("x.js", local_name=b"../../x.js"))
    yield code, "method", _zip(INDEX, Raw("x.js", local_method=0))
    yield code, "flags", _zip(INDEX, Raw("x.js", local_flags=UTF8_FLAG | 1))
    yield code, "no UTF-8 flag", _zip(INDEX, Raw("é.js", local_flags=0))
    yield code, "checksum", _zip(INDEX, Raw("x.js", local_crc=1))
    yield code, "size", _zip(INDEX, Raw("x.js", local_size=10**6))
    yield code, "zero size", _zip(INDEX, Raw("x.js", local_size=0))
    yield code, "packed size", _zip(INDEX, Raw("x.js", local_packed=1))
    yield code, "mark", _zip(INDEX, Raw("x.js", local_mark=b"PK\x03\x05"))
    yield code, "second name", _zip(INDEX, Raw("x.js", extra=unicode_path(b"../y.js", b"x.js")))
    yield code, "second name before the data", _zip(INDEX, Raw("x.js", local_extra=unicode_path(b"y.js", b"x.js")))
    stream = {"flags": UTF8_FLAG | DESCRIPTOR_FLAG, "local_crc": 0, "local_packed": 0, "local_size": 0}
    bad = descriptor(other, crc=1)
    yield code, "descriptor checksum", _zip(INDEX, Raw("x.js", other, after=bad, **stream))  # type: ignore[arg-type]
    yield code, "no descriptor", _zip(INDEX, Raw("x.js", other, **stream))  # type: ignore[arg-type]
    yield code, "descriptor of another file", _zip(INDEX, Raw("x.js", after=descriptor(other), **stream))  # type: ignore[arg-type]
    yield "archive.ambiguous", "long descriptor", _zip(INDEX, Raw("x.js", after=bytes(40), **stream))  # type: ignore[arg-type]
    yield "archive.overlap", "same place", _zip(INDEX, Raw("a.js"), Raw("b.js", listed_offset=0))
    yield "archive.overlap", "inside another", _zip(INDEX, Raw("a.js"), Raw("b.js", listed_offset=40))
    yield "archive.overlap", "quoted headers", _overlapping
    yield "archive.overlap", "into the list", _zip(INDEX, Raw("x.js", listed_packed=500))
    yield "archive.overlap", "into the next file", _zip(INDEX, Raw("x.js", listed_packed=60), Raw("y.js"))


def _overlapping() -> bytes:
    """Return a bomb after Fifield: many entries that share one kernel of data."""
    kernel = Raw("0.js", bytes(100_000))
    return make_zip([kernel, *[Raw(f"{n}.js", b"", listed_offset=0, listed_size=100_000) for n in range(1, 200)]])


def _sizes() -> Made:
    text = b"0123456789" * 20
    yield "archive.size_wrong", "stored, larger", _zip(INDEX, Raw("x.js", text, method=0, listed_size=300))
    yield "archive.size_wrong", "stored, smaller", _zip(INDEX, Raw("x.js", text, method=0, listed_size=10))
    yield "archive.size_wrong", "deflated, larger", _zip(INDEX, Raw("x.js", text, listed_size=300))
    yield "archive.size_wrong", "deflated, smaller", _zip(INDEX, Raw("x.js", text, listed_size=10))
    yield "archive.size_wrong", "deflated, nothing said", _zip(INDEX, Raw("x.js", text, listed_size=0))
    yield "archive.size_wrong", "large, said to be small", _zip(INDEX, Raw("x.js", bytes(10**8), listed_size=1000))
    yield "archive.size_wrong", "first page said to be small", _zip(Raw("index.html", bytes(10**7), listed_size=100))
    yield (
        "archive.size_wrong",
        "bytes after the stream",
        _zip(INDEX, Raw("x.js", text, packed=deflate(text) + b"PK\x03\x04")),
    )
    long = deflate(text) + bytes(100_000)
    yield "archive.size_wrong", "many bytes after the stream", _zip(INDEX, Raw("x.js", text, packed=long))
    yield "archive.size_wrong", "folder with content", _zip(INDEX, Raw("d/", b"content", method=0, mode=stat.S_IFDIR))
    yield "archive.malformed", "checksum", _zip(INDEX, Raw("x.js", text, listed_crc=7))
    yield "archive.malformed", "stream that ends early", _zip(INDEX, Raw("x.js", text, packed=deflate(text)[:-3]))
    yield "archive.malformed", "no stream", _zip(INDEX, Raw("x.js", text, packed=b"\xff" * 50))
    yield "archive.malformed", "empty stream", _zip(INDEX, Raw("x.js", text, packed=b""))
    yield "archive.ratio", "zeros", _zip(INDEX, Raw("x.js", bytes(20_000_000)))
    yield "archive.ratio", "spaces", _zip(INDEX, Raw("x.txt", b" " * 5_000_000))
    yield "archive.ratio", "first page", _zip(Raw("index.html", b" " * 5_000_000))
    yield "archive.ratio", "said only", _zip(INDEX, Raw("x.js", b"x", listed_size=2**31))
    many = [Raw(f"{n}.js", b"x", listed_size=2**30) for n in range(5)]
    yield "archive.too_large", "five of a gigabyte", _zip(INDEX, *many)
    yield "archive.too_large", "four gigabytes in one", _zip(INDEX, Raw("x.js", b"x", listed_size=LARGE - 1), many[0])
    huge = extra_field(1, struct.pack("<Q", 2**60))
    yield "archive.too_large", "an exabyte", _zip(INDEX, Raw("x.js", b"x", listed_size=LARGE, extra=huge))
    yield "archive.too_many", "one too many", lambda: _many(20_001)
    yield "archive.too_many", "300,000", lambda: _many(300_000, zip64=True)
    yield "archive.too_many", "300,000, one said", lambda: _many(300_000, count=1)
    yield "archive.too_many", "a million said", _end(End(count=0xFFFF, zip64={"count": 10**6}))
    yield "pack.file_too_large", "first page", _zip(Raw("index.html", bytes(range(256)) * 5000))


def _many(entries: int, *, zip64: bool = False, count: int | None = None) -> bytes:
    end = End(count=0xFFFF, zip64={}) if zip64 else End(count=count)
    return make_zip([INDEX, *[Raw(f"{n:x}.js", b"", method=0) for n in range(entries - 1)]], end)


def _inner() -> Made:
    inner = make_zip([INDEX])
    for name in (
        "a.zip",
        "a.tar.gz",
        "x.7z",
        "x.rar",
        "y.jar",
        "z.h5p",
        "z.EPUB",
        "w.tgz",
        "s.xz",
        "d/t.tar",
        "c.imscc",
    ):
        yield "archive.nested", name, _zip(INDEX, Raw(name, b"whatever"))
    for name, content in (
        ("called JSON", inner), ("called text", b"\x1f\x8b\x08" + bytes(50)),
        ("called script", b"7z\xbc\xaf\x27\x1c..."),
        ("called page data", b"Rar!\x1a\x07"), ("zstd", b"\x28\xb5\x2f\xfd" + bytes(9)), ("bzip2", b"BZh91AY&SY"),
        ("xz", b"\xfd7zXZ\x00\x00"),
    ):  # fmt: skip
        yield "archive.nested", name, _zip(INDEX, Raw("inner.json", content))
    bomb = make_zip([Raw(f"{n}.zip", make_zip([Raw("x", bytes(1_000_000))])) for n in range(16)])
    yield "archive.nested", "42.zip in small", _zip(INDEX, Raw("lib.zip", bomb))
    for mark, content in (
        ("h5p.json", b"{}"), ("tincan.xml", b"<tincan/>"),
        ("manifest.csv", b"a,b"),
        ("META-INF/container.xml", b"<container/>"), ("[Content_Types].xml", b"<Types/>"), ("AndroidManifest.xml", b""),
        ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0"),
    ):  # fmt: skip
        yield "import.unsupported", mark, _zip(INDEX, Raw(mark, content))
    yield (
        "import.unsupported",
        "SCORM in a folder",
        _zip(
            Raw("p/index.html", INDEX.content),
            Raw("p/imsmanifest.xml", b"<manifest><schema>ADL SCORM</schema></manifest>"),
        ),
    )
    yield "pack.source_invalid", "page that is not UTF-8", _zip(Raw("index.html", b"<p>caf\xe9</p>"))


_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_MANIFESTS: tuple[tuple[str, bytes], ...] = (
    ("billion laughs", f'<!DOCTYPE m [<!ENTITY l0 "lol">{_LAUGHS}]><m>&l9;</m>'.encode()),
    ("quadratic", f'<!DOCTYPE m [<!ENTITY a "{"x" * 50_000}">]><m>{"&a;" * 10_000}</m>'.encode()),
    ("external entity", b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>'),
    ("external entity by net", b'<!DOCTYPE m [<!ENTITY x SYSTEM "http://127.0.0.1/x">]><m>&x;</m>'),
    ("parameter entity", b'<!DOCTYPE m [<!ENTITY % p SYSTEM "http://127.0.0.1/p.dtd"> %p;]><m/>'),
    ("external document type", b'<!DOCTYPE m SYSTEM "http://127.0.0.1/m.dtd"><m/>'),
    ("bare document type", b"<!DOCTYPE m><m/>"),
    ("UTF-16", '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE m [<!ENTITY a "b">]><m>&a;</m>'.encode("utf-16")),
    ("undefined entity", b"<m>&x;</m>"),
    ("deep", b"<m>" * 100_000),
    ("not closed", b"<manifest>"),
    ("not XML", b"manifest"),
    ("nothing", b""),
    ("unknown encoding", b'<?xml version="1.0" encoding="x-nonsense"?><m/>'),
    ("NUL", b"<m>\x00</m>"),
    ("namespace bomb", b"<m " + b" ".join(b'xmlns:a%d="u"' % n for n in range(500)) + b" xmlns:a1='v'/>"),
)


def _xml() -> Made:
    for name, content in _MANIFESTS:
        yield "archive.xml_refused", name, _zip(INDEX, Raw("imsmanifest.xml", content))
    yield "pack.file_too_large", "manifest", _zip(INDEX, Raw("imsmanifest.xml", b"<m>" + _noise(5 * 1024**2)))


def _noise(size_bytes: int) -> bytes:
    """Return bytes that do not pack better than twice."""
    step, out = b"edgebox", bytearray()
    while len(out) < size_bytes:
        step = struct.pack("<L", zlib.crc32(step)) + step[:28]
        out += step.hex().encode()
    return bytes(out[:size_bytes])


def _fine() -> Made:
    yield "", "plain", _zip(INDEX, SCRIPT)
    yield "", "in one folder", _zip(Raw("app/index.html", INDEX.content), Raw("app/a/b.js"))
    yield "", "folders listed", _zip(_folder("app/"), Raw("app/index.html", INDEX.content), _folder("app/img/"))
    yield "", "stored", _zip(Raw("index.html", INDEX.content, method=0))
    yield "", "streamed", _zip(streamed("index.html", INDEX.content), streamed("x.js"))
    yield "", "streamed, no mark", _zip(streamed("index.html", INDEX.content, mark=False))
    yield "", "streamed, wide", _zip(streamed("index.html", INDEX.content, wide=True))
    yield "", "wide streamed, no mark", _zip(streamed("index.html", INDEX.content, wide=True, mark=False))
    yield "", "comment", _end(End(comment=b"made by somebody"))
    yield "", "wide end", _end(End(zip64={}))
    yield "", "wide end needed", _end(End(count=0xFFFF, directory_offset=LARGE, zip64={}))
    wide = extra_field(1, struct.pack("<Q", 7))
    yield "", "wide size", _zip(INDEX, Raw("x.js", listed_size=LARGE, local_size=7, extra=wide))
    yield "", "room for wide sizes", _zip(INDEX, Raw("x.js", local_extra=extra_field(1, bytes(16))))
    yield "", "second name that is the same", _zip(INDEX, Raw("é.js", extra=unicode_path("é.js".encode(), b"")))
    yield "", "accents of a Mac", _zip(INDEX, Raw("e\u0301.js", flags=0))
    yield "", "names in many scripts", _zip(INDEX, Raw("درس.js"), Raw("课程.js"), Raw("a b.js"))
    yield "", "16 folders", _zip(INDEX, Raw("a/" * 15 + "x.js"))
    yield "", "200 bytes", _zip(INDEX, Raw("x" * 197 + ".js"))
    yield "", "litter", _zip(INDEX, Raw(".DS_Store"), Raw("__MACOSX/._index.html"), Raw("Thumbs.db"))
    yield "", "no mode", _zip(Raw("index.html", INDEX.content, mode=0, made_by=0), Raw("x.js", mode=0, made_by=0))
    yield "", "other fields", _zip(INDEX, Raw("x.js", extra=extra_field(0x5455, b"\x01\x00\x00\x00\x00")))
    yield "", "padding in a field", _zip(INDEX, Raw("x.js", local_extra=b"\x00\x00\x00"))
    yield "", "empty files", _zip(INDEX, Raw("a.js", b""), Raw("b.js", b"", method=0))
    yield "", "packs well", _zip(INDEX, Raw("x.txt", b"abcdefgh" * 12_000))
    yield "", "files left out", _zip(INDEX, Raw("README.md"), Raw("x.map"), Raw("LICENSE"))
    yield "", "by the standard library", _by_library


def _by_library() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.html", INDEX.content)
        with archive.open("x.js", "w", force_zip64=True) as file:
            file.write(b"wide")
    return target.getvalue()


def _folder(name: str) -> Raw:
    return Raw(name, b"", method=0, mode=stat.S_IFDIR | 0o755, low_attributes=0x10)


def _zip(*entries: Raw) -> Callable[[], bytes]:
    return lambda: make_zip(entries)


def _end(end: End) -> Callable[[], bytes]:
    return lambda: make_zip([INDEX, SCRIPT], end)


def _bytes(content: bytes) -> Callable[[], bytes]:
    return lambda: content
