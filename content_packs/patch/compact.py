"""Long lists without an object for each element, so that they take little memory while contents are made."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from content_packs.base import codec
from content_packs.base.hashing import HASH_BYTES
from content_packs.patch.table import Entry, Target


class CompactEntries(Sequence[Entry]):
    """File entries as they stand in a manifest; each is decoded when it is asked for.

    Raises:
        CodecMalformed: one of them is damaged.
    """

    def __init__(self, signed: bytes, places: "array[int]") -> None:
        self._signed = signed
        self._places = places
        for entry in self:
            if not isinstance(entry, list):
                raise codec.CodecMalformed(reason="files")

    def __len__(self) -> int:
        return max(len(self._places) - 1, 0)

    @overload
    def __getitem__(self, number: int) -> Entry: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Entry]: ...
    def __getitem__(self, number: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        start, end = self._places[number], self._places[number + 1]
        entry: Entry = codec.decode(self._signed[start:end], max_bytes=end - start)
        return entry


class CompactTargets(Sequence[Target]):
    """Targets by their number."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._sizes = array("q", (target.size_bytes for target in targets))
        self._bases = array("q", (target.base for target in targets))

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, number: int) -> Target: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Target]: ...
    def __getitem__(self, number: int | slice) -> Target | Sequence[Target]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return Target(self._sizes[number], self._bases[number])


class CompactBases(Mapping[int, tuple[bytes, int]]):
    """Hash and size of contents by a number; made of number, size and hash, in the order of numbers."""

    def __init__(self, known: Iterable[tuple[int, int, bytes]]) -> None:
        ordered = list(known)
        self._numbers = array("q", (number for number, _, _ in ordered))
        self._hashes = b"".join(content_hash for _, _, content_hash in ordered)
        self._sizes = array("q", (size_bytes for _, size_bytes, _ in ordered))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __getitem__(self, number: int) -> tuple[bytes, int]:
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            raise KeyError(number)
        return self._hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES], self._sizes[place]
