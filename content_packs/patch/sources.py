"""The contents a patch has to make, what each is made from, and their frames: the publisher's side of a plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from content_packs.base.compress import compress_against
from content_packs.patch import containers, grouping, pairing, table
from content_packs.patch.containers import Buffer
from content_packs.patch.contents import opened_content, read_content
from content_packs.patch.grouping import Size
from content_packs.patch.likeness import parts, same_runs
from content_packs.patch.needs import Needs
from content_packs.patch.plan import Container, Group
from content_packs.patch.table import Entry

PIECED_BYTES: Final = 4 * 1024**2
_WITHOUT_BASE_BYTES: Final = 64 * 1024**2
_WINDOW_MAX_BYTES: Final = 2**27
_COPIED_MIN_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One way to group contents.

    Attributes:
        group_bytes: what the largest group may hold; 0 for every content by itself.
        has_copies: whether long parts that stay the same are copied, and only what is between them compressed.
        is_by_name: whether files stand together that have the same name in several folders.
    """

    group_bytes: int
    has_copies: bool = False
    is_by_name: bool = False

    @property
    def held_bytes(self) -> int:
        """Return what reading one group may hold."""
        return self.group_bytes or PIECED_BYTES


class Sources:
    """The contents to be made and what each is made from."""

    def __init__(
        self,
        folders: tuple[Path | None, Path],
        old: list[Entry],
        new: list[Entry],
        needs: Needs,
        *,
        opened_max_bytes: int,
    ) -> None:
        self._folders = folders[0] or folders[1], folders[1]
        self._old, self._new = old, new
        self._old_contents = {entry[table.HASH] for entry in old}
        self._fresh = table.fresh_entries(old, new)
        self._bases = [table.NO_BASE] * len(self._fresh)
        if folders[0]:
            self._bases = pairing.choose_bases(old, new, self._fresh, self._sketch, needs.may_use)
        target_of = {entry[table.HASH]: target for target, entry in enumerate(self._fresh)}
        numbered = [[*entry[: table.HASH], target_of.get(entry[table.HASH]), *entry[table.REST :]] for entry in new]
        self._parts = table.parts_by_target(lambda: numbered)
        self._left: dict[int, tuple[int, ...]] = {}
        self._opened_base_bytes: dict[object, int] = {}
        self.containers: dict[int, Container] = {}
        self.container_bytes = 0
        for target in range(len(self._fresh)):
            self._open(target, opened_max_bytes)
        self.copied = frozenset(target for target in range(len(self._fresh)) if self._has_copies(target))

    @property
    def all_bytes(self) -> int:
        """Return what one group of all would hold."""
        sizes = [self._size(target, Way(0)) for target in range(len(self._fresh))]
        return grouping.held_bytes(sum(one.base_bytes for one in sizes), sum(one.stream_bytes for one in sizes))

    def steps(self) -> list[object]:
        """Return the list of files, told by the old one."""
        return table.write_table(self._old, self._new, self._bases)

    def told(self) -> list[bytes]:
        """Return the hashes of what a box may do without, in the order of targets."""
        return [self._fresh[target][table.HASH] for target in sorted(self._parts)]

    def compress(self, way: Way, frames: BinaryIO) -> tuple[list[Group], int]:
        """Write the frames of all groups; return the groups and what applying the largest holds."""
        paths = [entry[table.PATH] for entry in self._fresh]
        order = table.order_of(paths, self._parts, is_by_name=way.is_by_name)
        sizes = {target: self._size(target, way) for target in order}
        groups: list[Group] = []
        held_bytes = first = 0
        for count in grouping.group(list(sizes.values()), way.group_bytes):
            for one, base, content in self._groups_of(order[first : first + count], sizes, way):
                window_bytes = _WINDOW_MAX_BYTES if base else 1 << max(way.held_bytes.bit_length() - 1, 10)
                frame = compress_against(base, content, window_max_bytes=window_bytes) if content else b""
                frames.write(frame)
                groups.append(replace(one, frame_bytes=len(frame)))
                held_bytes = max(held_bytes, _held(len(base), len(content), window_bytes))
            first += count
        return groups, held_bytes + self.container_bytes

    def _groups_of(
        self, targets: Sequence[int], sizes: Mapping[int, Size], way: Way
    ) -> Iterator[tuple[Group, bytes, bytes]]:
        """Yield groups with what they are read against and what they hold: one of whole contents, or one per part."""
        first = sizes[targets[0]]
        is_small = _held(first.base_bytes, first.stream_bytes, way.held_bytes) <= way.held_bytes
        if len(targets) > 1 or (is_small and not first.is_alone):
            by_base = {sizes[target].base: target for target in reversed(targets)}
            order = dict.fromkeys(sizes[target].base for target in targets if sizes[target].base_bytes)
            base = b"".join(self._base(by_base[name]) for name in order)
            yield Group(0, targets=len(targets)), base, b"".join(map(self._stream, targets))
            return
        whole_base, content = self._base(targets[0]), self._stream(targets[0])
        limit_bytes = way.held_bytes if first.base_bytes else 2 * _WITHOUT_BASE_BYTES
        for part in parts(whole_base, content, limit_bytes, _COPIED_MIN_BYTES if first.is_alone else None):
            piece = Group(0, piece_bytes=part.end - part.start, offset=part.offset, length=part.length)
            if part.is_same:
                yield piece, b"", b""
            else:
                yield piece, whole_base[part.offset : part.offset + part.length], content[part.start : part.end]

    def _size(self, target: int, way: Way) -> Size:
        container = self.containers.get(target)
        name, base = self._base_name(target), self._bases[target]
        is_alone, parts = way.has_copies and target in self.copied, self._parts.get(target, ())
        if container:
            return Size(container.opened_bytes, name, self._opened_base_bytes[name], is_alone, parts)
        base_bytes = self._old[base][table.SIZE] if base >= 0 else 0
        return Size(self._fresh[target][table.SIZE], name, base_bytes, is_alone, parts)

    def _has_copies(self, target: int) -> bool:
        base, content = self._base(target), self._stream(target)
        if min(len(base), len(content)) < 2 * _COPIED_MIN_BYTES:
            return False
        return any(True for _ in same_runs(base, content, _COPIED_MIN_BYTES))

    def _stream(self, target: int) -> Buffer:
        content = read_content(self._folders[1], self._fresh[target])
        container = self.containers.get(target)
        return opened_content(content, container.kind, self._left[target]) if container else content

    def _base(self, target: int) -> Buffer:
        base = self._bases[target]
        if base < 0:
            return b""
        content = read_content(self._folders[0], self._old[base])
        container = self.containers.get(target)
        return opened_content(content, container.kind, container.left) if container else content

    def _open(self, target: int, most_bytes: int) -> None:
        """Note the target as a container, if both it and its base can be opened and it closes to the same bytes."""
        base = self._bases[target]
        if base < 0 or max(self._fresh[target][table.SIZE], self._old[base][table.SIZE]) > most_bytes:
            return
        content, before = self._stream(target), self._base(target)
        kind = containers.kind_of(content[:8])
        if kind is None or kind != containers.kind_of(before[:8]):
            return
        recipe, base_recipe = containers.recipe_of(content, kind), containers.recipe_of(before, kind)
        opened = opened_content(content, kind, recipe.left)
        if len(opened) == len(content) or not _is_same(containers.close(iter([opened[:]]), recipe.parameters), content):
            return
        self.containers[target] = Container(kind, len(opened), base_recipe.left, recipe.parameters)
        self._left[target] = recipe.left
        name = self._base_name(target)
        self._opened_base_bytes[name] = len(opened_content(before, kind, base_recipe.left))
        held_bytes = len(before) + max(recipe.largest_bytes, base_recipe.largest_bytes)
        self.container_bytes = max(self.container_bytes, held_bytes)

    def _base_name(self, target: int) -> object:
        """Return what tells the bases of targets apart: the same file opened in another way is another base."""
        container = self.containers.get(target)
        return (self._bases[target], *((container.kind, container.left) if container else ()))

    def _sketch(self, entry: Entry) -> pairing.Sketch:
        folder = self._folders[0] if entry[table.HASH] in self._old_contents else self._folders[1]
        return pairing.sketch(read_content(folder, entry)[: pairing.SKETCHED_MAX_BYTES])


def _held(base_bytes: int, stream_bytes: int, window_bytes: int) -> int:
    return grouping.held_bytes(base_bytes, stream_bytes) if base_bytes else min(stream_bytes, window_bytes)


def _is_same(steps: Iterator[bytes], content: Buffer) -> bool:
    at = 0
    for step in steps:
        if content[at : at + len(step)] != step:
            return False
        at += len(step)
    return at == len(content)
