"""Path policy: what means one file everywhere passes, everything else is refused with a reason (S-17)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.format import names
from content_packs.format.errors import PathRefused

REFUSED = {
    "empty": "",
    "parent": "..",
    "parent first": "../evil",
    "parent inside": "a/../../evil",
    "parent last": "a/..",
    "this": ".",
    "this inside": "a/./b",
    "absolute": "/etc/passwd",
    "double slash": "a//b",
    "trailing slash": "a/",
    "only slash": "/",
    "drive": "C:/x",
    "drive relative": "C:x",
    "drive backslash": "C:\\x",
    "unc": "\\\\host\\share",
    "unc slash": "//host/share",
    "device path": "\\\\.\\PhysicalDrive0",
    "backslash parent": "..\\..\\evil",
    "backslash": "a\\b",
    "stream": "a.txt:hidden",
    "nul": "a\0b",
    "nul end": "a.txt\0.png",
    "bell": "a\x07b",
    "newline": "a\nb",
    "tab": "a\tb",
    "delete": "a\x7f",
    "c1 control": "a\x85b",
    "con": "CON",
    "con lower": "con",
    "con extension": "con.txt",
    "con folder": "a/CON/b",
    "con spaces": "con .txt",
    "prn": "prn.svg",
    "aux": "aux.html",
    "nul device": "NUL.json",
    "com1": "COM1",
    "com1 extension": "com1.tar.gz",
    "com superscript": "com¹",
    "lpt9": "LPT9.md",
    "conin": "CONIN$",
    "trailing dot": "a.",
    "trailing dots": "a...",
    "trailing dot folder": "a./b",
    "trailing space": "a ",
    "leading space": " a",
    "space folder": "a /b",
    "dot file": ".htaccess",
    "dot folder": ".git/config",
    "apple double": "._x.png",
    "three dots": ".../x",
    "nfd": "cafe\u0301.png",
    "nfd hangul": "\u1112\u1161\u11ab",
    "right to left override": "a\u202egnp.exe",
    "left to right mark": "a\u200eb",
    "isolate": "a\u2066b",
    "zero width space": "a\u200bb",
    "zero width joiner": "a\u200db",
    "byte order mark": "\ufeffa",
    "soft hyphen": "a\u00adb",
    "line separator": "a\u2028b",
    "no-break space": "a\u00a0b",
    "ideographic space": "a\u3000b",
    "surrogate": "a\udcffb",
    "private use": "a\ue000b",
    "unassigned": "a\U000e0fffb",
    "question": "what?.png",
    "star": "*.png",
    "pipe": "a|b",
    "quote": 'a"b',
    "less": "a<b",
    "percent": "%2e%2e/x",
    "hash": "a#b",
    "201 bytes": "a" * 201,
    "201 bytes in arabic": "ك" * 101,
    "300 deep": "a/" * 300 + "a",
    "17 deep": "/".join("a" * 17),
}
ACCEPTED = [
    "a",
    "index.html",
    "equal-parts/read.en.md",
    "a/b/c/d.e.f",
    "with space.png",
    "القسم/صورة.png",
    "课/图.png",
    "café.png",
    "console.js",
    "com10.txt",
    "communication/con-1.svg",
    "nulls/auxiliary.js",
    "(1)_+=@!~$&',;[]{}.txt",
    "a" * 200,
    "/".join("a" * 16),
]


@pytest.mark.parametrize("path", REFUSED.values(), ids=REFUSED)
def test_unsafe_name_is_refused_with_a_reason(path: str) -> None:
    with pytest.raises(PathRefused) as caught:
        names.check_path(path)
    assert caught.value.fields["reason"]
    assert isinstance(caught.value.fields["file"].encode(), bytes)


@pytest.mark.parametrize("path", ACCEPTED)
def test_plain_name_is_accepted_unchanged(path: str) -> None:
    assert names.check_path(path) == path


def test_corpus_has_at_least_sixty_unsafe_names() -> None:
    assert len(set(REFUSED.values())) >= 60


@pytest.mark.parametrize(
    "paths",
    [
        ["A.txt", "a.txt"],
        ["a/x", "a/X"],
        ["A/x", "a/y"],
        ["straße", "STRASSE"],
        ["ﬁle", "file"],
        ["a", "a"],
        ["a", "a/b"],
        ["A", "a/b"],
        ["É.png", "é.png"],
        ["Ⅷ", "viii"],
    ],
)
def test_two_names_for_one_file_are_refused_in_any_order(paths: list[str]) -> None:
    for order in (paths, paths[::-1]):
        if order != ["a/b", "a"] and order != ["a/b", "A"]:
            with pytest.raises(PathRefused):
                names.check_distinct(order)
    with pytest.raises(PathRefused):
        names.check_distinct(sorted(paths))


def test_different_names_stand_beside_each_other() -> None:
    different = ["a/b", "a/c", "ab", "b/a", "ى", "ي"]
    names.check_distinct(different)
    for path in different:
        with pytest.raises(PathRefused):
            names.check_distinct([*different, path.upper()])


@given(st.text(max_size=30))
def test_every_accepted_name_stays_below_its_folder(path: str) -> None:
    try:
        names.check_path(path)
    except PathRefused:
        return
    assert not path.startswith("/")
    assert all(part not in ("", ".", "..") and "\\" not in part and ":" not in part for part in path.split("/"))
