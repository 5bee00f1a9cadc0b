"""Packs made at a school: whose key, which names, and no programs unless the school allows them (S-23)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format.envelope import open_envelope, seal_envelope
from content_packs.format.errors import SignerUnknown
from content_packs.format.fields import is_pack_id
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.format.vouching import LocalPackRefused, PackNotListed
from content_packs.trust import local
from content_packs.trust.keyring import NOT_LOCAL, NOT_OURS, BoxKeyring
from content_packs.trust.listing import ListedPack, ListedPublisher, PackList
from tests.support.packs import small_manifest

BOX = SigningKey(b"box".ljust(32, b"."))
OTHER_BOX = SigningKey(b"other box".ljust(32, b"."))
PRESS = SigningKey(b"press".ljust(32, b"."))
PUBLISHERS = {PRESS.verify_key.key_id: PRESS.verify_key}
LOCAL = small_manifest(pack="local.0a1b2c3d.water")
PAGE = b"<h1>Ice</h1>\n<p>Water can be <em>hard</em>.</p>\n"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/><use href="#a"/><!-- a drop --></svg>'


def keyring(pack_list: PackList | None = None) -> BoxKeyring:
    return BoxKeyring(PUBLISHERS, own=[BOX.verify_key], pack_list=pack_list)


def reason(work: Callable[[], object]) -> str:
    with pytest.raises(LocalPackRefused) as caught:
        work()
    return str(caught.value.fields["reason"])


def with_files(*files: tuple[str, str, bytes], kind: str = "text") -> tuple[Manifest, local.ReadFile]:
    """Return a local pack of these files, and how to read them."""
    entries = tuple(FileEntry(path, len(content), blake2b_256(content), kind_) for path, kind_, content in files)
    manifest = replace(
        LOCAL,
        files=entries,
        lessons=(Lesson("one", {"en": "One"}, {}, ("read",)),),
        resources=(Resource("read", kind, {"en": "Read"}, {}, {"en": entries[0].path}),),
    )
    contents = {blake2b_256(content): content for _, _, content in files}
    return manifest, lambda entry: contents[entry.hash]


def test_what_the_box_signed_is_taken_by_it_and_by_no_other() -> None:
    envelope = seal_envelope(LOCAL, [BOX])
    assert open_envelope(envelope, keyring())[1] == BOX.verify_key.key_id
    with pytest.raises(SignerUnknown):
        open_envelope(envelope, BoxKeyring(PUBLISHERS, own=[OTHER_BOX.verify_key]))


@pytest.mark.parametrize("signers", [[PRESS], [OTHER_BOX, PRESS]])
def test_no_publisher_may_use_a_local_name(signers: list[SigningKey]) -> None:
    assert reason(lambda: open_envelope(seal_envelope(LOCAL, signers), keyring())) == NOT_OURS


def test_a_list_cannot_vouch_for_a_local_name() -> None:
    envelope = seal_envelope(LOCAL, [PRESS])
    listed = ListedPack("local", len(envelope), b"", PRESS.verify_key)
    publisher = ListedPublisher("local", "Press", (PRESS.verify_key,), 2**60)
    pack_list = PackList(b"", 0, 2**60, (publisher,), {(LOCAL.pack, LOCAL.version): listed}, frozenset())
    assert (
        reason(lambda: open_envelope(envelope, BoxKeyring({}, own=[BOX.verify_key], pack_list=pack_list))) == NOT_OURS
    )


def test_the_box_cannot_shadow_the_pack_of_a_publisher() -> None:
    signed = seal_envelope(small_manifest(), [BOX])
    assert reason(lambda: open_envelope(signed, keyring())) == NOT_LOCAL
    assert reason(lambda: local.seal_local(small_manifest(), BOX, lambda _: b"", scripts_allowed=True)) == NOT_LOCAL


def test_a_publishers_pack_that_the_box_signed_too_counts_for_the_publisher() -> None:
    both = seal_envelope(small_manifest(), [BOX, PRESS])
    assert open_envelope(both, keyring())[1] == PRESS.verify_key.key_id


def test_a_key_that_nobody_lists_any_more_vouches_for_nothing() -> None:
    publisher = ListedPublisher("org.example", "Press", (PRESS.verify_key,), 2**60)
    pack_list = PackList(b"", 0, 2**60, (publisher,), {}, frozenset())
    with pytest.raises(PackNotListed):
        open_envelope(seal_envelope(small_manifest(), [PRESS]), BoxKeyring({}, pack_list=pack_list))


@pytest.mark.parametrize("name", ["Water", "الماء", "L'eau & co.", "-" * 90, "", "x" * 200])
def test_names_of_local_packs_are_pack_ids_and_differ_between_boxes(name: str) -> None:
    ours, theirs = local.local_id(b"\x01" * 16, name), local.local_id(b"\x02" * 16, name)
    assert is_pack_id(ours)
    assert ours.startswith("local.01010101.")
    assert ours != theirs
    assert ours == local.local_id(b"\x01" * 16, name)
    assert not name or name.lower() not in ours


@pytest.mark.parametrize(
    "files",
    [
        [("a.html", "text/html", PAGE), ("b.svg", "image/svg+xml", DRAWING)],
        [("a.html", "text/html", PAGE), ("b.css", "text/css", b"@import url(x)"), ("c.json", "application/json", b"{")],
        [("a.svg", "image/svg+xml", b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x">' + DRAWING)],
    ],
)
def test_pages_and_drawings_without_programs_are_signed(files: list[tuple[str, str, bytes]]) -> None:
    manifest, read = with_files(*files)
    envelope = local.seal_local(manifest, BOX, read, scripts_allowed=False)
    assert open_envelope(envelope, keyring())[0] == manifest


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">%s</svg>'
HOSTILE = {
    "script": ("text/html", b"<p>x</p><script>alert(1)</script>"),
    "handler": ("text/html", b'<img src="x.png" onerror="alert(1)">'),
    "address": ("text/html", b'<a href="javascript:alert(1)">x</a>'),
    "frame": ("text/html", b'<iframe src="x.html"></iframe>'),
    "not text": ("text/html", b"\xff\xfe<\0s\0"),
    "too large": ("text/html", b"x" * (local.CHECKED_MAX_BYTES + 1)),
    "script file": ("text/javascript", b"1"),
    "xhtml": ("application/xhtml+xml", PAGE),
    "xml": ("text/xml", PAGE),
    "svg script": ("image/svg+xml", SVG % b"<script>alert(1)</script>"),
    "svg handler": ("image/svg+xml", SVG % b'<g onload="alert(1)"/>'),
    "svg link": ("image/svg+xml", SVG % b'<a xlink:href="javascript:alert(1)"/>'),
    "svg outside": ("image/svg+xml", SVG % b'<image href="http://elsewhere.example/x.png"/>'),
    "svg html": ("image/svg+xml", SVG % b'<foreignObject><b xmlns="http://www.w3.org/1999/xhtml"/></foreignObject>'),
    "svg foreign": ("image/svg+xml", SVG % b'<script xmlns="http://www.w3.org/1999/xhtml"/>'),
    "svg animation": ("image/svg+xml", SVG % b'<animate attributeName="href" to="javascript:alert(1)"/>'),
    "svg declaration": ("image/svg+xml", b'<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + SVG % b"&a;"),
    "svg two declarations": ("image/svg+xml", b'<!DOCTYPE svg><!DOCTYPE svg [<!ENTITY a "b">]>' + SVG % b"&a;"),
    "svg broken": ("image/svg+xml", b"<svg"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_programs_are_signed_only_when_the_school_allows_them(name: str) -> None:
    manifest, read = with_files(("a.html", "text/html", PAGE), ("b", *HOSTILE[name]))
    assert reason(lambda: local.seal_local(manifest, BOX, read, scripts_allowed=False)) == local.HAS_SCRIPT
    assert local.seal_local(manifest, BOX, read, scripts_allowed=True)


def test_a_program_is_not_hidden_by_a_second_name_of_the_same_content() -> None:
    content = b"<p>x</p><script>alert(1)</script>"
    manifest, read = with_files(("a.txt", "text/plain", content), ("b.html", "text/html", content))
    assert reason(lambda: local.seal_local(manifest, BOX, read, scripts_allowed=False)) == local.HAS_SCRIPT


def test_apps_are_signed_only_when_the_school_allows_programs() -> None:
    manifest, read = with_files(("a.html", "text/html", PAGE), kind="app")
    assert reason(lambda: local.seal_local(manifest, BOX, read, scripts_allowed=False)) == local.HAS_APP
    assert local.seal_local(manifest, BOX, read, scripts_allowed=True)


def test_files_are_not_read_when_programs_are_allowed(tmp_path: Path) -> None:
    def fail(entry: FileEntry) -> bytes:
        raise AssertionError(entry)

    manifest, _ = with_files(("a.html", "text/html", PAGE))
    assert local.seal_local(manifest, BOX, fail, scripts_allowed=True)
