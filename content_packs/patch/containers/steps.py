"""Bytes that come in steps of any length, read in the lengths that are wanted."""

from collections.abc import Iterator
from typing import Final

from content_packs.patch.errors import PatchMalformed

_STEP_BYTES: Final = 256 * 1024
_VARINT_BYTES: Final = 9


class Steps:
    """Reads from `steps`; every method raises PatchMalformed when they end too early."""

    def __init__(self, steps: Iterator[bytes]) -> None:
        self._steps = steps
        self._held = memoryview(b"")

    def tag(self) -> int | None:
        """Return the next byte, nothing at the end."""
        return self._held_byte() if self._fill() else None

    def number(self) -> int:
        """Return a length."""
        value = 0
        for place in range(_VARINT_BYTES):
            if not self._fill():
                break
            byte = self._held_byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise PatchMalformed(reason="container")

    def take(self, length: int) -> bytes:
        """Return exactly so many bytes."""
        return b"".join(self.pass_on(length))

    def pass_on(self, length: int) -> Iterator[bytes]:
        """Yield exactly so many bytes."""
        while length:
            if not self._fill():
                raise PatchMalformed(reason="container")
            step = self._held[: min(length, _STEP_BYTES)]
            self._held = self._held[len(step) :]
            length -= len(step)
            yield bytes(step)

    def _held_byte(self) -> int:
        byte = self._held[0]
        self._held = self._held[1:]
        return byte

    def _fill(self) -> bool:
        while not self._held:
            step = next(self._steps, None)
            if step is None:
                return False
            self._held = memoryview(step)
        return True
