"""Contents on their way into the store, flushed and made visible many at a time."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from content_packs.base import atomic, ids
from content_packs.base.hashing import Hasher
from content_packs.format.errors import BlobAltered
from content_packs.installer.blobs import INCOMING, BlobStore
from content_packs.usb.writing import make_folder, write_all

BEGIN_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 256 * 1024 * 1024
BATCH_FILES = 2_000
HASHED_ASIDE_BYTES = 128 * 1024
# Pieces that wait to be hashed, so that hashing, which is the slowest step, never waits for a write.
UNHASHED_MAX = 4


class Intake:
    """Contents on their way into a store, many flushed together; use it with `with`.

    Each is written beside. A batch becomes visible after one flush of the file system, so that a power cut leaves whole
    contents or none; that the names themselves last is certain only after `settle`. What was kept before an error is
    settled as well, so that a second try does not copy it again. `on_shown` is called when a batch became visible.
    """

    def __init__(self, store: BlobStore, on_shown: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._on_shown = on_shown
        self._beside = str(store.root / INCOMING / ids.new_token())
        self._count = 0
        self._descriptor: int | None = None
        self._hasher = Hasher()
        self._hashing = ThreadPoolExecutor(1, "hashing")
        self._unhashed: deque[Future[None]] = deque()
        self._size_bytes = 0
        self._begun_bytes = 0
        self._kept: list[tuple[str, bytes]] = []
        self._kept_bytes = 0
        self._folders: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hashing.shutdown()
        self._drop()
        self.settle()

    def write(self, chunk: bytes) -> None:
        """Write the next bytes of the content that is on its way."""
        if self._descriptor is None:
            self._descriptor = self._open()
        self._take_hash(chunk)
        write_all(self._descriptor, chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes - self._begun_bytes >= BEGIN_BYTES:
            atomic.begin_writing(self._descriptor, self._begun_bytes, self._size_bytes - self._begun_bytes)
            self._begun_bytes = self._size_bytes

    def keep(self, content_hash: bytes, file: str) -> None:
        """End the content that is on its way; it becomes visible with its batch.

        Raises:
            BlobAltered: it is not what it should be; it is dropped.
        """
        self._wait_for_hash()
        if self._hasher.digest() != content_hash:
            self._drop()
            raise BlobAltered(file=file)
        self._keep(content_hash)

    def keep_any(self) -> bytes:
        """End the content that is on its way, whatever it is; return its hash. It becomes visible with its batch."""
        self._wait_for_hash()
        content_hash = self._hasher.digest()
        self._keep(content_hash)
        return content_hash

    def settle(self) -> None:
        """Make visible what was kept, and make sure that it stays; safe to repeat."""
        if self._kept:
            self._show()
        if self._folders:
            atomic.sync_file_system(self._store.root)
            self._folders.clear()

    def _keep(self, content_hash: bytes) -> None:
        os.close(self._open() if self._descriptor is None else self._descriptor)
        self._kept.append((self._path(), content_hash))
        self._kept_bytes += self._size_bytes
        self._begin_next()
        if self._kept_bytes >= BATCH_BYTES or len(self._kept) >= BATCH_FILES:
            self._show()

    def _take_hash(self, chunk: bytes) -> None:
        """Hash while the same bytes are written; handing a small piece to another thread costs more than its hash."""
        is_small = len(chunk) < HASHED_ASIDE_BYTES
        self._wait_for_hash(0 if is_small else UNHASHED_MAX - 1)
        if is_small:
            self._hasher.update(chunk)
        else:
            self._unhashed.append(self._hashing.submit(self._hasher.update, chunk))

    def _wait_for_hash(self, left: int = 0) -> None:
        """Wait until no more than `left` pieces are still to be hashed."""
        while len(self._unhashed) > left:
            self._unhashed.popleft().result()

    def _show(self) -> None:
        """Flush the batch, then give each content its name."""
        for first in {content_hash[:1] for _, content_hash in self._kept} - self._folders:
            make_folder(self._store.root / first.hex())
            self._folders.add(first)
        atomic.sync_file_system(self._store.root)
        root = str(self._store.root)
        for beside, content_hash in self._kept:
            name = content_hash.hex()
            os.replace(beside, f"{root}/{name[:2]}/{name}")  # noqa: PTH105 - a path object each costs as much again
        self._kept.clear()
        self._kept_bytes = 0
        self._on_shown()

    def _open(self) -> int:
        if not self._count:
            make_folder(self._store.root / INCOMING)
        return os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def _path(self) -> str:
        return f"{self._beside}-{self._count}.part"

    def _drop(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            Path(self._path()).unlink(missing_ok=True)
            self._begin_next()

    def _begin_next(self) -> None:
        self._descriptor, self._hasher = None, Hasher()
        self._unhashed.clear()
        self._count += 1
        self._size_bytes = self._begun_bytes = 0
