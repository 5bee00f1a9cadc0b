"""The file list of the new version, told by the old one (docs/pack-format.md, Patch, List of files).

Entries are the arrays of the manifest as they are; all that follows path, size, hash and media type travels unread, so
that a later manifest may add to it. Contents that the old version does not have are *targets*, numbered in the order
in which the list first names them; their hashes are not in the patch: who applies it computes them. Only those that a
box may do without are told, for it may not have what they are made from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from content_packs.format.manifest import FILE_MAX_BYTES
from content_packs.patch.errors import PatchMalformed

PATH, SIZE, HASH, REST, PART = 0, 1, 2, 3, 4
NO_BASE: Final = -1
ENTRIES_MAX: Final = 200_000

Entry = list[Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A content the old version does not have: its size, and the old entry it resembles or -1."""

    size_bytes: int
    base: int


class Table:
    """The new list, with the number of a target instead of the hash where the content is new.

    Holds the old list and the steps alone; the entries are made anew each time they are asked for.
    """

    def __init__(self, old: Sequence[Entry], steps: Sequence[Any]) -> None:
        self._old = old
        self._steps = steps

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in order. Raises like `read_table` at the first time, and never again."""
        return _Reader(self._old).entries(self._steps)

    def with_hashes(self, hashes: Sequence[bytes]) -> list[Entry]:
        """Return the entries as they are in the manifest, given the hash of every target."""
        return [
            [*entry[:HASH], hashes[entry[HASH]], *entry[REST:]] if isinstance(entry[HASH], int) else entry
            for entry in self.entries()
        ]


def fresh_entries(old: Sequence[Entry], new: Sequence[Entry]) -> list[Entry]:
    """Return the first entry of every content that is not in `old`: one per target, in the order of their numbers."""
    known = {entry[HASH] for entry in old}
    fresh: dict[bytes, Entry] = {}
    for entry in new:
        if entry[HASH] not in known:
            fresh.setdefault(entry[HASH], entry)
    return list(fresh.values())


def part_of(entry: Entry) -> int:
    """Return the number of the part an entry is in, counted from 1; 0 when it is always needed."""
    part = entry[PART] if len(entry) > PART else 0
    return part if type(part) is int else 0


def parts_by_target(entries: Callable[[], Iterable[Entry]]) -> dict[int, tuple[int, ...]]:
    """Return the parts, by number, of every target that a box may do without; one of them is enough to need it.

    `entries` gives the new list, with numbers of targets where the content is new.
    """
    parts: dict[int, set[int]] = {}
    for entry in entries():
        if isinstance(entry[HASH], int) and part_of(entry):
            parts.setdefault(entry[HASH], set()).add(part_of(entry))
    if parts:
        # What also stands in no part everybody needs. Asked for last, because most lists have no parts at all.
        for entry in entries():
            if isinstance(entry[HASH], int) and not part_of(entry):
                parts.pop(entry[HASH], None)
    return {target: tuple(sorted(found)) for target, found in parts.items()}


def order_of(paths: Sequence[str], parts: Mapping[int, tuple[int, ...]], *, is_by_name: bool) -> list[int]:
    """Return the numbers of targets in the order they are made, given the path each is first named with.

    What everybody needs comes first, then what is in the same parts together. Among those, by path as a rule; by the
    last part of the path, where files of one name in several folders resemble each other.
    """
    if is_by_name:
        return sorted(
            range(len(paths)),
            key=lambda target: (parts.get(target, ()), paths[target].rpartition("/")[2], paths[target]),
        )
    return sorted(range(len(paths)), key=lambda target: parts.get(target, ())) if parts else list(range(len(paths)))


def write_table(old: Sequence[Entry], new: Sequence[Entry], bases: Sequence[int]) -> list[Any]:
    """Return the steps that make `new` of `old`; both are sorted by path, `bases` has one old entry per target."""
    return _Writer(old, new, bases).steps()


class _Writer:
    def __init__(self, old: Sequence[Entry], new: Sequence[Entry], bases: Sequence[int]) -> None:
        self._old = old
        self._new = new
        self._bases = bases
        self._target_of = {entry[HASH]: number for number, entry in enumerate(fresh_entries(old, new))}
        self._first_with: dict[bytes, int] = {}
        for number, entry in enumerate(old):
            self._first_with.setdefault(entry[HASH], number)
        self._told = 0
        self._steps: list[Any] = []

    def steps(self) -> list[Any]:
        at = 0
        for entry in self._new:
            gone = at
            while at < len(self._old) and self._old[at][PATH] < entry[PATH]:
                at += 1
            self._drop(at - gone)
            is_here = at < len(self._old) and self._old[at][PATH] == entry[PATH]
            if is_here and self._old[at] == entry:
                self._keep()
            elif is_here and self._is_plain_change(at, entry):
                self._change(entry[SIZE] - self._old[at][SIZE])
            else:
                self._drop(int(is_here))
                self._add(entry)
            at += is_here
        self._drop(len(self._old) - at)
        return self._steps

    def _is_plain_change(self, at: int, entry: Entry) -> bool:
        target = self._target_of.get(entry[HASH], NO_BASE)
        return target == self._told and self._bases[target] == at and self._old[at][REST:] == entry[REST:]

    def _keep(self) -> None:
        if self._steps and isinstance(self._steps[-1], int) and self._steps[-1] > 0:
            self._steps[-1] += 1
        else:
            self._steps.append(1)

    def _drop(self, count: int) -> None:
        if count and self._steps and isinstance(self._steps[-1], int) and self._steps[-1] < 0:
            self._steps[-1] -= count
        elif count:
            self._steps.append(-count)

    def _change(self, growth_bytes: int) -> None:
        self._told += 1
        if self._steps and isinstance(self._steps[-1], list) and isinstance(self._steps[-1][0], int):
            self._steps[-1].append(growth_bytes)
        else:
            self._steps.append([growth_bytes])

    def _add(self, entry: Entry) -> None:
        source: Any = self._first_with.get(entry[HASH])
        if source is None:
            target = self._target_of[entry[HASH]]
            source = -1 - target
            if target == self._told:
                self._told += 1
                source = [entry[SIZE], self._bases[target]]
        self._steps.append([entry[PATH], source, *entry[REST:]])


def read_table(old: Sequence[Entry], steps: Any) -> tuple[Table, list[Target], list[str]]:
    """Return the new list that `steps` make of `old`, its targets, and the path each is first named with.

    Paths and hashes are for the manifest's reader to check.

    Raises:
        PatchMalformed: steps that lead nowhere.
    """
    if not isinstance(steps, list):
        raise PatchMalformed(reason="files")
    reader = _Reader(old)
    paths: list[str] = []
    before, count = None, 0
    for count, entry in enumerate(reader.entries(steps), start=1):
        if (before is not None and before >= entry[PATH]) or count > ENTRIES_MAX:
            raise PatchMalformed(reason="files")
        before = entry[PATH]
        if isinstance(entry[HASH], int) and entry[HASH] == len(paths):
            paths.append(entry[PATH])
    return Table(old, steps), reader.targets, paths


class _Reader:
    """Goes through the old entries as the steps say; `targets` are those that were named so far."""

    def __init__(self, old: Sequence[Entry]) -> None:
        self._old = old
        self._at = 0
        self.targets: list[Target] = []

    def entries(self, steps: Sequence[Any]) -> Iterator[Entry]:
        """Yield the new entries."""
        for step in steps:
            match step:
                case int(count) if count and not isinstance(count, bool):
                    yield from self._run(count)
                case [int(), *_]:
                    yield from self._change(step)
                case [str(path), source, *rest]:
                    yield self._add(path, source, rest)
                case _:
                    raise PatchMalformed(reason="files")
        if self._at != len(self._old):
            raise PatchMalformed(reason="files")

    def _run(self, count: int) -> Iterator[Entry]:
        """Keep `count` old entries, or drop as many as `count` is below zero."""
        taken = self._take(abs(count))
        return (self._old[number] for number in taken) if count > 0 else iter(())

    def _change(self, growths: list[Any]) -> Iterator[Entry]:
        """Give the next old entries new contents."""
        if not all(type(growth) is int for growth in growths):
            raise PatchMalformed(reason="files")
        for number, growth in zip(self._take(len(growths)), growths, strict=True):
            entry = self._old[number]
            target = self._new_target(entry[SIZE] + growth, number)
            yield [entry[PATH], entry[SIZE] + growth, target, *entry[REST:]]

    def _add(self, path: str, source: Any, rest: list[Any]) -> Entry:
        """Add an entry whose content is that of an old entry, of a target told before, or new."""
        match source:
            case int(number) if 0 <= number < len(self._old):
                return [path, *self._old[number][SIZE:REST], *rest]
            case int(number) if -len(self.targets) <= number < 0:
                return [path, self.targets[-1 - number].size_bytes, -1 - number, *rest]
            case [int(size_bytes), int(base)] if NO_BASE <= base < len(self._old):
                return [path, size_bytes, self._new_target(size_bytes, base), *rest]
        raise PatchMalformed(reason="files")

    def _take(self, count: int) -> range:
        """Go over the next old entries and return their numbers."""
        if count > len(self._old) - self._at:
            raise PatchMalformed(reason="files")
        self._at += count
        return range(self._at - count, self._at)

    def _new_target(self, size_bytes: int, base: int) -> int:
        if not 0 <= size_bytes <= FILE_MAX_BYTES:
            raise PatchMalformed(reason="files")
        self.targets.append(Target(size_bytes, base))
        return len(self.targets) - 1
