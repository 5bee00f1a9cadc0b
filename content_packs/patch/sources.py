"""The contents a patch has to make, what each is made from, and their frames: the publisher's side of a plan."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from content_packs.base.compress import compress_against
from content_packs.patch import containers, grouping, pairing, table
from content_packs.patch.containers import Buffer
from content_packs.patch.contents import opened_content, read_content
from content_packs.patch.grouping import Size
from content_packs.patch.plan import Container, Group
from content_packs.patch.table import Entry

PIECED_BYTES: Final = 4 * 1024**2
_WITHOUT_BASE_BYTES: Final = 64 * 1024**2
_WINDOW_MAX_BYTES: Final = 2**27


class Sources:
    """The contents to be made and what each is made from."""

    def __init__(
        self, folders: tuple[Path | None, Path], old: list[Entry], new: list[Entry], *, opened_max_bytes: int
    ) -> None:
        self._folders = folders[0] or folders[1], folders[1]
        self._old, self._new = old, new
        self._old_contents = {entry[table.HASH] for entry in old}
        self._fresh = table.fresh_entries(old, new)
        self._bases = [table.NO_BASE] * len(self._fresh)
        if folders[0]:
            self._bases = pairing.choose_bases(old, new, self._fresh, self._sketch)
        self._left: dict[int, tuple[int, ...]] = {}
        self._opened_base_bytes: dict[object, int] = {}
        self.containers: dict[int, Container] = {}
        self.container_bytes = 0
        for target in range(len(self._fresh)):
            self._open(target, opened_max_bytes)

    @property
    def all_bytes(self) -> int:
        """Return what one group of all would hold."""
        sizes = [self._size(target) for target in range(len(self._fresh))]
        return grouping.held_bytes(sum(one.base_bytes for one in sizes), sum(one.stream_bytes for one in sizes))

    def steps(self) -> list[object]:
        """Return the list of files, told by the old one."""
        return table.write_table(self._old, self._new, self._bases)

    def compress(self, limit_bytes: int, frames: BinaryIO) -> tuple[list[Group], int]:
        """Write the frames of all groups of at most `limit_bytes`; return the groups and what the largest holds.

        With the limit 0 every content is a group, and those too large for the smallest groups are cut.
        """
        sizes = [self._size(target) for target in range(len(self._fresh))]
        groups: list[Group] = []
        held_bytes = first = 0
        for count in grouping.group(sizes, limit_bytes):
            for one, base, content, window_bytes in self._frames_of(first, count, limit_bytes or PIECED_BYTES):
                frame = compress_against(base, content, window_max_bytes=window_bytes)
                frames.write(frame)
                groups.append(replace(one, frame_bytes=len(frame)))
                held_bytes = max(held_bytes, _held(len(base), len(content), window_bytes))
            first += count
        return groups, held_bytes + self.container_bytes

    def _frames_of(self, first: int, count: int, limit_bytes: int) -> Iterator[tuple[Group, bytes, bytes, int]]:
        """Yield each group with its base, its content and its window: one of whole contents, or one per piece."""
        targets = range(first, first + count)
        sizes = [self._size(target) for target in targets]
        has_base = any(one.base_bytes for one in sizes)
        window_bytes = _WINDOW_MAX_BYTES if has_base else 1 << limit_bytes.bit_length() - 1
        if count > 1 or _held(sizes[0].base_bytes, sizes[0].stream_bytes, window_bytes) <= limit_bytes:
            bases = {one.base: target for one, target in zip(reversed(sizes), reversed(targets), strict=True)}
            order = dict.fromkeys(one.base for one in sizes if one.base_bytes)
            base = b"".join(self._base(bases[name]) for name in order)
            yield Group(0, targets=count), base, b"".join(map(self._stream, targets)), window_bytes
            return
        whole_base, content = self._base(first), self._stream(first)
        step_bytes = limit_bytes if has_base else 2 * _WITHOUT_BASE_BYTES
        for start, end, offset, length in grouping.cut(whole_base, content, step_bytes):
            piece = Group(0, piece_bytes=end - start, offset=offset, length=length)
            yield piece, whole_base[offset : offset + length], content[start:end], window_bytes

    def _size(self, target: int) -> Size:
        container = self.containers.get(target)
        name, base = self._base_name(target), self._bases[target]
        if container:
            return Size(container.opened_bytes, name, self._opened_base_bytes[name])
        return Size(self._fresh[target][table.SIZE], name, self._old[base][table.SIZE] if base >= 0 else 0)

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
        if not recipe.parameters or not _is_same(containers.close(iter([opened[:]]), recipe.parameters), content):
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
