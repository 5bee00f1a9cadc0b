"""The files of a pack as one stream of chunks, read a little ahead of whoever writes them."""

from collections.abc import Callable, Generator, Iterable, Iterator

from content_packs.base.ahead import ahead
from content_packs.format.manifest import FileEntry

ReadFile = Callable[[FileEntry], Iterator[bytes]]
Step = tuple[FileEntry, bytes, bool]


def read_ahead(entries: Iterable[FileEntry], read: ReadFile) -> Generator[Step, None, None]:
    """Yield the files chunk by chunk, at least one each, and with each chunk whether it is the file's last.

    They are read in another thread, in the order of their hashes: files in one folder of the stick follow each other.
    What `read` raises is raised here. Close it when you stop early, so that the thread ends.
    """
    in_order = sorted(entries, key=lambda entry: entry.hash)
    return ahead((step for entry in in_order for step in _steps(entry, read)), lambda step: len(step[1]))


def _steps(entry: FileEntry, read: ReadFile) -> Iterator[Step]:
    left_bytes = entry.size_bytes
    for chunk in read(entry):
        left_bytes -= len(chunk)
        yield entry, chunk, left_bytes == 0
    if left_bytes or not entry.size_bytes:
        yield entry, b"", True
