"""Numbers in as few bytes as they need: seven bits a byte, lowest first, the top bit where more follow (LEB128)."""

from sync.bundle.errors import BundleMalformed

_BITS = 7
_MORE = 1 << _BITS
_BYTES_MAX = 8


def pack(value: int) -> bytes:
    """Return a number from 0 to 2**56 - 1."""
    found = bytearray()
    while value >= _MORE:
        found.append(value & _MORE - 1 | _MORE)
        value >>= _BITS
    found.append(value)
    return bytes(found)


def take(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at `place` and the place behind it.

    Raises:
        BundleMalformed: cut, too long, or not the shortest form.
    """
    value = 0
    for count in range(_BYTES_MAX):
        if place + count >= len(content):
            break
        byte = content[place + count]
        value |= (byte & _MORE - 1) << _BITS * count
        if byte < _MORE:
            if count and not byte:
                break
            return value, place + count + 1
    raise BundleMalformed(reason="number")
