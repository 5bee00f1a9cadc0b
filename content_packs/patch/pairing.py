"""Which old file each new content is made from: the one with its path, the one most like it, or one named alike."""

import difflib
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from pathlib import PurePosixPath
from typing import Final

from content_packs.patch.table import HASH, NO_BASE, PATH, REST, Entry

Sketch = frozenset[int]

SKETCHED_MAX_BYTES: Final = 16 * 1024**2
_ANCHORED = re.compile(rb"[\s;,>}\x00].{24}", re.DOTALL)
_SKETCH_SIZE = 128
_ALIKE_MIN = 3
_NAMES_COMPARED_MAX = 400
_NAMES_ALIKE_MIN = 0.6


def sketch(content: bytes) -> Sketch:
    """Return marks of a content that most similar contents share, wherever in them the similar parts are."""
    return frozenset(nsmallest(_SKETCH_SIZE, set(map(zlib.crc32, _ANCHORED.findall(content)))))


def choose_bases(
    old: Sequence[Entry],
    new: Sequence[Entry],
    fresh: Sequence[Entry],
    sketch_of: Callable[[Entry], Sketch],
    may_use: Callable[[Entry, Entry], bool],
) -> list[int]:
    """Return for every one of the `fresh` entries the number of the old one it is made from, or -1.

    `sketch_of` reads a file; it is asked for those only whose path is not in both versions. `may_use` tells whether a
    fresh entry may be made from an old one: who needs the one may not have the other.
    """
    by_path = {entry[PATH]: number for number, entry in enumerate(old)}
    search = _Search(old, new, sketch_of, may_use)
    found: list[int] = []
    for entry in fresh:
        base = by_path.get(entry[PATH], NO_BASE)
        found.append(base if base != NO_BASE and may_use(entry, old[base]) else search.find(entry))
    return found


class _Search:
    """Looks among old files whose content is no longer there, those whose path is gone too first."""

    def __init__(
        self,
        old: Sequence[Entry],
        new: Sequence[Entry],
        sketch_of: Callable[[Entry], Sketch],
        may_use: Callable[[Entry, Entry], bool],
    ) -> None:
        kept = {entry[PATH] for entry in new}
        self._old = old
        self._gone = [number for number, entry in enumerate(old) if entry[PATH] not in kept]
        self._changed = _changed(old, new)
        self._sketch_of = sketch_of
        self._may_use = may_use
        self._marks: dict[int, list[int]] = {}
        self._indexed = False

    def find(self, entry: Entry) -> int:
        """Return the old entry most like this one, or -1."""
        self._index()
        votes = Counter(
            number
            for mark in self._sketch_of(entry)
            for number in self._marks.get(mark, ())
            if self._may_use(entry, self._old[number])
        )
        best = max(votes.items(), key=lambda vote: (vote[1], vote[0] in self._gone, -vote[0]), default=(NO_BASE, 0))
        return best[0] if best[1] >= _ALIKE_MIN else self._named_alike(entry)

    def _index(self) -> None:
        if self._indexed:
            return
        self._indexed = True
        for number in sorted({*self._gone, *self._changed}):
            for mark in self._sketch_of(self._old[number]):
                self._marks.setdefault(mark, []).append(number)

    def _named_alike(self, entry: Entry) -> int:
        place = PurePosixPath(entry[PATH])
        near = {
            PurePosixPath(self._old[number][PATH]).name: number
            for number in self._gone
            if PurePosixPath(self._old[number][PATH]).suffix == place.suffix
            and self._old[number][REST] == entry[REST]
            and self._may_use(entry, self._old[number])
        }
        names = list(near)[:_NAMES_COMPARED_MAX]
        found = difflib.get_close_matches(place.name, names, n=1, cutoff=_NAMES_ALIKE_MIN)
        return near[found[0]] if found else NO_BASE


def _changed(old: Sequence[Entry], new: Iterable[Entry]) -> list[int]:
    contents = {entry[HASH] for entry in new}
    return [number for number, entry in enumerate(old) if entry[HASH] not in contents]
