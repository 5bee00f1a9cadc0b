"""Which file names may stand in a pack: only such as mean the same file on every system and in every address.

Names are refused, never repaired: two readers that repair differently would read two packs from one signature.
"""

import unicodedata
from collections.abc import Iterable

from content_packs.base.errors import N_
from content_packs.format.errors import PathRefused

PATH_MAX_BYTES = 200
PATH_MAX_SEGMENTS = 16

_MARKS = '\\:<>"|?*%#'
_RESERVED = (
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"com{digit}" for digit in "0123456789¹²³"}
    | {f"lpt{digit}" for digit in "0123456789¹²³"}
)
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def check_path(path: str) -> str:
    """Return `path` if it is a safe relative path with `/` between its parts.

    Raises:
        PathRefused: with the file and a reason its author understands.
    """
    reason = _refusal(path)
    if reason:
        raise PathRefused(file=path.encode(errors="replace").decode(), reason=reason)
    return path


def check_distinct(paths: Iterable[str]) -> None:
    """Return if no two paths could be one file somewhere, and none is both a file and a folder.

    Folders count as well: `A/x` and `a/y` are refused, because on many systems both are in one folder.

    Raises:
        PathRefused: names the later of the two.
    """
    spelled: dict[str, str] = {}
    files: set[str] = set()
    for path in paths:
        _check_folders(path, spelled, files)
        folded = _fold(path)
        if folded in spelled:
            raise PathRefused(file=path, reason=N_("another file has the same name but for capital letters"))
        spelled[folded] = path
        files.add(folded)


def is_reserved(segment: str) -> bool:
    """Return whether some systems take this part of a name for a device, whatever its ending."""
    return segment.split(".")[0].rstrip(" ").casefold() in _RESERVED


def _check_folders(path: str, spelled: dict[str, str], files: set[str]) -> None:
    for end, mark in enumerate(path):
        if mark != "/":
            continue
        folder = path[:end]
        folded = _fold(folder)
        if folded in files:
            raise PathRefused(file=path, reason=N_("a file has the same name as its folder"))
        if spelled.setdefault(folded, folder) != folder:
            raise PathRefused(file=path, reason=N_("another folder has the same name but for capital letters"))


def _fold(path: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _refusal(path: str) -> str:
    """Return why the path is refused, or nothing."""
    if not path:
        return N_("the name is empty")
    if any(unicodedata.category(mark) in _UNSEEN_CATEGORIES for mark in path):
        return N_("it contains a mark that cannot be seen or is not a letter")
    if len(path.encode()) > PATH_MAX_BYTES or path.count("/") >= PATH_MAX_SEGMENTS:
        return N_("it is too long or in too many folders")
    if any(mark in path for mark in _MARKS):
        return N_('it contains one of the marks \\ : < > " | ? * % #')
    if unicodedata.normalize("NFC", path) != path:
        return N_("its accents are not in the usual form (NFC)")
    return next(filter(None, map(_refusal_of_segment, path.split("/"))), "")


def _refusal_of_segment(segment: str) -> str:
    if segment in {"", ".", ".."}:
        return N_("it points outside its folder")
    if segment.startswith(".") or segment[-1] in {".", " "} or segment[0] == " ":
        return N_("a part of it begins with a dot or a space, or ends with one")
    if any(mark.isspace() and mark != " " for mark in segment):
        return N_("it contains an unusual space")
    if is_reserved(segment):
        return N_("some systems keep this name for a device")
    return ""
