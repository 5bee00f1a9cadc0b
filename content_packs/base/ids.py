"""The one source of randomness and of identifiers."""

import os

from content_packs.base.hashing import blake2b

ID_BYTES = 16


def random_bytes(count: int) -> bytes:
    """Return `count` bytes from the operating system's generator."""
    return os.urandom(count)


def random_unit() -> float:
    """Return a random number in [0, 1), for waiting times."""
    return int.from_bytes(random_bytes(4), "big") / (1 << 32)


def new_token() -> str:
    """Return 160 random bits as 40 hexadecimal digits, for sessions and one-time codes."""
    return os.urandom(20).hex()


def random_uuid() -> bytes:
    """Return a UUID that says nothing (RFC 9562, version 4) as 16 bytes."""
    return _with_version(int.from_bytes(os.urandom(ID_BYTES), "big"), 4)


def new_uuid7(now_ms: int) -> bytes:
    """Return a time-ordered UUID (RFC 9562, version 7) as 16 bytes."""
    value = int.from_bytes(now_ms.to_bytes(6, "big") + os.urandom(10), "big")
    return _with_version(value, 7)


def derive_statement_id(device_id: bytes, device_seq: int, timestamp_ms: int) -> bytes:
    """Return the id of a statement made by our own page (RFC 9562, version 8).

    Both ends compute it from what a bundle carries anyway. The first 48 bits are the Unix second and the low 16 bits
    of the device's sequence number, so ids of one moment stay near each other in the database; the rest is a hash.
    """
    prefix = (timestamp_ms // 1000 & 0xFFFFFFFF) << 16 | device_seq & 0xFFFF
    tail = _hash(b"edgebox statement", device_id, device_seq)
    return _with_version(prefix << 80 | tail, 8)


def derive_registration(device_id: bytes, attempt_seq: int) -> bytes:
    """Return the registration of the attempt that the device's event `attempt_seq` opened (UUID version 8)."""
    head = _hash(b"edgebox attempt", device_id, attempt_seq)
    return _with_version(head << 48 | attempt_seq & (1 << 48) - 1, 8)


def format_uuid(value: bytes) -> str:
    """Return 16 bytes in the 8-4-4-4-12 form."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid(text: str) -> bytes:
    """Return the 16 bytes of a UUID in its 8-4-4-4-12 form; raise ValueError for any other text."""
    if len(text) != 36 or text[8] + text[13] + text[18] + text[23] != "----":
        raise ValueError("not a UUID")
    return bytes.fromhex(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])


def _hash(domain: bytes, device_id: bytes, seq: int) -> int:
    """Return 80 bits that depend on all arguments."""
    message = domain + b"\0" + device_id + seq.to_bytes(8, "big")
    return int.from_bytes(blake2b(message, digest_size=10).digest(), "big")


def _with_version(value: int, version: int) -> bytes:
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return (value | version << 76 | 0b10 << 62).to_bytes(ID_BYTES, "big")
