"""A ZIP writer that can lie: every field of every header can be set by itself."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

REGULAR = 0o100644
UNIX = 3 << 8 | 30
UTF8_FLAG = 0x0800
DESCRIPTOR_FLAG = 0x0008
LARGE = 0xFFFFFFFF


def deflate(content: bytes, level: int = 6) -> bytes:
    """Return content as a raw deflate stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


@dataclass(frozen=True)
class Raw:
    """One entry; what is None is what an honest writer would put there.

    Attributes:
        packed: bytes of the data, instead of the content packed.
        listed_*: what the list says.
        local_*: what the header before the data says, instead of what the list says.
        after: bytes after the data, such as a descriptor.
    """

    name: bytes | str
    content: bytes = b"content"
    method: int = 8
    flags: int = UTF8_FLAG
    mode: int = REGULAR
    low_attributes: int = 0
    made_by: int = UNIX
    packed: bytes | None = None
    listed_crc: int | None = None
    listed_packed: int | None = None
    listed_size: int | None = None
    listed_offset: int | None = None
    listed_disk: int = 0
    extra: bytes = b""
    comment: bytes = b""
    local_mark: bytes = b"PK\x03\x04"
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_crc: int | None = None
    local_packed: int | None = None
    local_size: int | None = None
    local_extra: bytes = b""
    before: bytes = b""
    after: bytes = b""
    hidden: bool = False

    @property
    def raw_name(self) -> bytes:
        """Return the name as bytes."""
        return self.name.encode() if isinstance(self.name, str) else self.name

    @property
    def data(self) -> bytes:
        """Return the packed bytes."""
        if self.packed is not None:
            return self.packed
        return deflate(self.content) if self.method == 8 else self.content


@dataclass(frozen=True)
class End:
    """What the end of the archive says; None is the truth."""

    count: int | None = None
    count_here: int | None = None
    directory_bytes: int | None = None
    directory_offset: int | None = None
    disk: int = 0
    first_disk: int = 0
    comment: bytes = b""
    trailing: bytes = b""
    before_directory: bytes = b""
    after_directory: bytes = b""
    zip64: dict[str, int] | None = None


@dataclass
class _Written:
    body: bytearray = field(default_factory=bytearray)
    listed: bytearray = field(default_factory=bytearray)
    count: int = 0


def make_zip(entries: Sequence[Raw], end: End | None = None) -> bytes:
    """Return the archive."""
    end = end or End()
    written = _Written()
    for entry in entries:
        _write(written, entry)
    body = bytes(written.body) + end.before_directory
    listed = bytes(written.listed)
    tail = body + listed + end.after_directory
    truth = (written.count, len(listed), len(body))
    if end.zip64 is not None:
        tail += _end64(end.zip64, truth, len(tail))
    count = _or(end.count, truth[0])
    return (
        tail
        + struct.pack(
            "<4s4H2LH",
            b"PK\x05\x06",
            end.disk,
            end.first_disk,
            _or(end.count_here, count) & 0xFFFF,
            count & 0xFFFF,
            _or(end.directory_bytes, truth[1]),
            _or(end.directory_offset, truth[2]),
            len(end.comment),
        )
        + end.comment
        + end.trailing
    )


def descriptor(content: bytes, *, mark: bool = True, wide: bool = False, crc: int | None = None) -> bytes:
    """Return the descriptor that follows deflated data."""
    values = (_or(crc, zlib.crc32(content)), len(deflate(content)), len(content))
    return (b"PK\x07\x08" if mark else b"") + struct.pack("<L2Q" if wide else "<3L", *values)


def streamed(name: str, content: bytes = b"streamed", **forms: bool) -> Raw:
    """Return an entry as writers make it that do not know sizes beforehand."""
    return Raw(
        name, content, flags=UTF8_FLAG | DESCRIPTOR_FLAG, local_crc=0, local_packed=0, local_size=0,
        after=descriptor(content, **forms),
    )  # fmt: skip


def extra_field(field_id: int, value: bytes) -> bytes:
    """Return one extra field."""
    return struct.pack("<HH", field_id, len(value)) + value


def unicode_path(name: bytes, stored: bytes) -> bytes:
    """Return the field that gives an entry a second name."""
    return extra_field(0x7075, b"\x01" + struct.pack("<L", zlib.crc32(stored)) + name)


def changed(entry: Raw, **fields: object) -> Raw:
    """Return an entry with other fields."""
    return replace(entry, **fields)  # type: ignore[arg-type]


def _write(written: _Written, entry: Raw) -> None:
    data, crc = entry.data, _or(entry.listed_crc, zlib.crc32(entry.content))
    packed, size = _or(entry.listed_packed, len(data)), _or(entry.listed_size, len(entry.content))
    written.body += entry.before
    offset = _or(entry.listed_offset, len(written.body))
    local_name = entry.raw_name if entry.local_name is None else entry.local_name
    written.body += struct.pack(
        "<4s5H3L2H",
        entry.local_mark,
        20,
        _or(entry.local_flags, entry.flags),
        _or(entry.local_method, entry.method),
        0,
        0x21,
        _or(entry.local_crc, crc),
        _or(entry.local_packed, packed),
        _or(entry.local_size, size),
        len(local_name),
        len(entry.local_extra),
    )
    written.body += local_name + entry.local_extra + data + entry.after
    if entry.hidden:
        return
    written.count += 1
    name, attributes = entry.raw_name, entry.mode << 16 | entry.low_attributes
    written.listed += struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02", entry.made_by, 20, entry.flags, entry.method, 0, 0x21, crc, packed, size, len(name),
        len(entry.extra), len(entry.comment), entry.listed_disk, 0, attributes, offset,
    )  # fmt: skip
    written.listed += name + entry.extra + entry.comment


def _end64(wishes: dict[str, int], truth: tuple[int, int, int], offset: int) -> bytes:
    count, directory_bytes, directory_offset = truth
    record = struct.pack(
        "<4sQ2H2L4Q",
        b"PK\x06\x06",
        wishes.get("rest_bytes", 44),
        45,
        45,
        wishes.get("disk", 0),
        0,
        wishes.get("count_here", wishes.get("count", count)),
        wishes.get("count", count),
        wishes.get("directory_bytes", directory_bytes),
        wishes.get("directory_offset", directory_offset),
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, wishes.get("offset", offset), wishes.get("disks", 1))
    return record + locator


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
