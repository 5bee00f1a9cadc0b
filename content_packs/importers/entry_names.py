"""Which names an archive may have inside: each way of leaving the folder, hiding or colliding has its own refusal.

Names are refused, never repaired, with one exception: accents are brought to their usual form (NFC), because some
systems store them in another one. Two names that become one by that are refused.
"""

import re
import unicodedata
from collections.abc import Iterable

from content_packs.base.errors import EdgeboxError
from content_packs.format.names import PATH_MAX_BYTES, PATH_MAX_SEGMENTS, is_reserved
from content_packs.importers import errors

SHOWN_MAX = 80

_DRIVE = re.compile(r"[A-Za-z]:")
_UNSEEN_CATEGORIES = frozenset({"Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def read_name(raw: bytes) -> str:
    """Return the name of a file, or of a folder without its last slash, in normal form C.

    Raises:
        NameNotUtf8, NameControl, NameOnVolume, NameBackslash, NameAbsolute, NameTraverses, NameInvisible, NameTooDeep,
        NameTooLong, NameReserved, NameTrailing.
    """
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise errors.NameNotUtf8(name=shown(raw.decode("latin-1"))) from error
    refusal = _refusal(name)
    if refusal is not None:
        raise refusal(name=shown(name))
    return unicodedata.normalize("NFC", name.removesuffix("/"))


def is_litter(name: str) -> bool:
    """Return whether a file is hidden or left by a file manager, so that nobody misses it."""
    return any(part.startswith(".") or part.casefold() in _LITTER for part in name.split("/"))


def check_distinct(names: Iterable[tuple[bytes, bool]]) -> None:
    """Return if no two of the names (as stored, with whether it is a folder) could be one on any system.

    Raises:
        EntryTwice, FileAndFolder, UnicodeTwins, CaseTwins: with the later of the two.
    """
    listed: set[str] = set()
    kinds: dict[str, bool] = {}
    folded: dict[str, str] = {}
    for raw, is_folder in names:
        name = raw.decode().removesuffix("/")
        parts = name.split("/")
        for end in range(1, len(parts)):
            _add("/".join(parts[:end]), True, kinds, folded)
        if name in listed and kinds[name] == is_folder:
            raise errors.EntryTwice(name=shown(name))
        listed.add(name)
        _add(name, is_folder, kinds, folded)


def shown(name: str) -> str:
    """Return a name as it can be shown: short, with marks that could harm a screen replaced."""
    visible = "".join("\N{REPLACEMENT CHARACTER}" if _is_harmful(mark) else mark for mark in name[:SHOWN_MAX])
    return visible + ("…" if len(name) > SHOWN_MAX else "")


def _add(name: str, is_folder: bool, kinds: dict[str, bool], folded: dict[str, str]) -> None:
    if kinds.setdefault(name, is_folder) != is_folder:
        raise errors.FileAndFolder(name=shown(name))
    known = folded.setdefault(_fold(name), name)
    if known == name:
        return
    normal, other = unicodedata.normalize("NFKC", name), unicodedata.normalize("NFKC", known)
    raise (errors.UnicodeTwins if normal == other else errors.CaseTwins)(name=shown(name))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _is_harmful(mark: str) -> bool:
    category = unicodedata.category(mark)
    return category == "Cc" or category in _UNSEEN_CATEGORIES or (mark.isspace() and mark != " ")


def _refusal(name: str) -> type[EdgeboxError] | None:
    """Return what is wrong with a name, the most dangerous first."""
    parts = name.removesuffix("/").split("/")
    if any(unicodedata.category(mark) == "Cc" for mark in name):
        return errors.NameControl
    if name.startswith(("\\\\", "//")) or _DRIVE.match(name):
        return errors.NameOnVolume
    if "\\" in name:
        return errors.NameBackslash
    if name.startswith("/"):
        return errors.NameAbsolute
    if not {"", ".", ".."}.isdisjoint(parts):
        return errors.NameTraverses
    if any(map(_is_harmful, name)):
        return errors.NameInvisible
    return _refusal_of_parts(name, parts)


def _refusal_of_parts(name: str, parts: list[str]) -> type[EdgeboxError] | None:
    if len(parts) > PATH_MAX_SEGMENTS:
        return errors.NameTooDeep
    if len(name.encode()) > PATH_MAX_BYTES:
        return errors.NameTooLong
    if any(map(is_reserved, parts)):
        return errors.NameReserved
    if any(part[-1] in ". " or part[0] == " " for part in parts):
        return errors.NameTrailing
    return None
