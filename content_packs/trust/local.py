"""Packs made at a school: their names, and what may be in them. The box's own key signs what passes, and nothing else.

Without the school's leave they bring no programs: pages are held to the allow-list of texts, drawings to one without
scripts, and apps are refused. With it they may, and run as closed in as everybody's.
"""

import re
from collections.abc import Callable
from xml.etree import ElementTree

from content_packs.base.errors import N_
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format.envelope import seal_envelope
from content_packs.format.fields import LOCAL_PREFIX, is_local
from content_packs.format.fragment import clean_fragment
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.resource import PROGRAM_KINDS
from content_packs.format.vouching import LocalPackRefused
from content_packs.trust.keyring import NOT_LOCAL

CHECKED_MAX_BYTES = 2 * 1024 * 1024

HAS_APP = N_("it has an experiment or game, which this school does not allow in packs of its own")
HAS_SCRIPT = N_("a file of it is a program or has one in it, which this school does not allow in packs of its own")
_SCRIPTS = frozenset({"text/javascript", "application/javascript", "text/ecmascript", "application/wasm"})
_MARKUP = frozenset({"application/xhtml+xml", "application/xml", "text/xml", "text/xsl"})
_SVG = "{http://www.w3.org/2000/svg}"
_SVG_REFUSED = frozenset({"script", "foreignObject", "handler", "iframe", "set", "animate"})
_SVG_TYPE = "image/svg+xml"
_PLAIN_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]*>")
_BOX_DIGITS = 8
_NAME_DIGITS = 12

ReadFile = Callable[[FileEntry], bytes]


def local_id(box_id: bytes, name: str) -> str:
    """Return the id of a pack made on this box, the same for the same name; other boxes make other ids.

    The name itself is not in it: ids leave the school with what learners did, and a teacher's title may name somebody.
    """
    digest = blake2b_256(box_id + name.encode()).hex()
    return f"{LOCAL_PREFIX}{box_id.hex()[:_BOX_DIGITS]}.{digest[:_NAME_DIGITS]}"


def seal_local(manifest: Manifest, key: SigningKey, read: ReadFile, *, scripts_allowed: bool) -> bytes:
    """Return the manifest signed by the box, after looking at what is in the pack.

    `read` gives the content of a file; it is asked for pages and drawings of at most 2 MiB only.

    Raises:
        LocalPackRefused: the id is not a local one, or there is a program in the pack and the school allows none.
    """
    if not is_local(manifest.pack):
        raise LocalPackRefused(pack=manifest.pack, reason=NOT_LOCAL)
    if not scripts_allowed:
        _refuse_programs(manifest, read)
    return seal_envelope(manifest, [key])


def _refuse_programs(manifest: Manifest, read: ReadFile) -> None:
    if any(resource.kind in PROGRAM_KINDS for resource in manifest.resources):
        raise LocalPackRefused(pack=manifest.pack, reason=HAS_APP)
    types_of: dict[bytes, set[str]] = {}
    for entry in manifest.files:
        # The same content may be in the pack under two types.
        types_of.setdefault(entry.hash, set()).add(entry.media_type)
    for entry in manifest.blobs.values():
        types = types_of[entry.hash]
        if types & (_SCRIPTS | _MARKUP) or not all(_is_harmless(entry, media_type, read) for media_type in types):
            raise LocalPackRefused(pack=manifest.pack, reason=HAS_SCRIPT)


def _is_harmless(entry: FileEntry, media_type: str, read: ReadFile) -> bool:
    if media_type not in ("text/html", _SVG_TYPE):
        return True
    if entry.size_bytes > CHECKED_MAX_BYTES:
        return False
    try:
        text = read(entry).decode()
    except UnicodeDecodeError:
        return False
    return _is_still(text) if media_type == _SVG_TYPE else clean_fragment(text) == text


def _is_still(drawing: str) -> bool:
    """Return whether an SVG has nothing that runs, moves, or leads out of it."""
    if "<!DOCTYPE" in _PLAIN_DOCTYPE.sub("", drawing, count=1):
        return False
    try:
        root = ElementTree.fromstring(drawing)  # noqa: S314 - no declarations, as just seen, so no entities
    except ElementTree.ParseError:
        return False
    return all(_is_still_element(element) for element in root.iter())


def _is_still_element(element: ElementTree.Element) -> bool:
    name = str(element.tag)
    if not name.startswith(_SVG) or name.removeprefix(_SVG) in _SVG_REFUSED:
        return False
    for attribute, value in element.attrib.items():
        plain = attribute.rpartition("}")[2].lower()
        if plain.startswith("on") or (plain == "href" and not value.startswith(("#", "data:image/"))):
            return False
    return True
