"""Who needs a content: everybody, or whoever took one of the parts it is in (pure)."""

from content_packs.format.manifest import Manifest
from content_packs.patch.table import HASH, Entry

_EVERYBODY: frozenset[str] = frozenset()


class Needs:
    """The parts of contents in two versions of a pack, by the ids that a box keeps its choice by."""

    def __init__(self, old: Manifest | None, new: Manifest) -> None:
        self._old = _parts_of(old) if old else {}
        self._new = _parts_of(new)

    def may_use(self, fresh: Entry, old: Entry) -> bool:
        """Return whether every box that needs the content of `fresh` has that of `old`, whatever parts it took."""
        base, content = self._old[old[HASH]], self._new[fresh[HASH]]
        return base == _EVERYBODY or (content != _EVERYBODY and content <= base)


def _parts_of(manifest: Manifest) -> dict[bytes, frozenset[str]]:
    """Return the ids of the parts of every content; of what everybody needs, none."""
    found: dict[bytes, frozenset[str]] = {}
    for entry in manifest.files:
        part = frozenset({manifest.parts[entry.part - 1].id}) if entry.part else _EVERYBODY
        before = found.get(entry.hash, part)
        found[entry.hash] = before | part if before and part else _EVERYBODY
    return found
