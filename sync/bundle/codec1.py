"""Codec 1: statements by a range coder and a model of a session, all else as in codec 0. See docs/bundle-format.md.

A packed body is one byte of flags, the length of the *rest*, the rest, and the range-coded statements. The rest is what
is no statement, and the texts of statements; it is compressed where that makes it shorter.
"""

from collections.abc import Mapping, Sequence

from content_packs.base.compress import CompressedMalformed, compress, decompress
from sync.bundle import codec0, varint
from sync.bundle.entropy import Reader, Writer
from sync.bundle.errors import BundleMalformed, BundleTooLarge
from sync.bundle.known import COARSE, EXACT, Texts
from sync.bundle.limits import COMPRESSION_LEVEL, PLAIN_MAX_BYTES
from sync.bundle.session_model import read_statements, write_statements
from sync.records.kinds import Kind, check
from sync.records.rows import Record, Statement

CODEC = 1
_IS_COARSE = 1
_IS_COMPRESSED = 2


def pack_records(records: Sequence[Record], *, around_ms: int, is_coarse: bool = False) -> tuple[int, bytes]:
    """Return the length of the plain rest, and the packed body.

    Raises:
        RecordMalformed: a field out of its bounds.
        BundleTooLarge: answers that come to more than a body may hold.
    """
    check(records)
    statements = [record for record in records if isinstance(record, Statement)]
    others = [record for record in records if not isinstance(record, Statement)]
    coder, texts = Writer(), Texts()
    units = COARSE if is_coarse else EXACT
    if not _can_be_told(statements):
        raise BundleTooLarge(limit="answers")
    if statements:
        write_statements(coder, statements, units=units, around_ms=around_ms, texts=texts)
    sections = codec0.encode_records(others) if others else b""
    plain = varint.pack(len(sections)) + sections + bytes(texts.joined) if others or texts.joined else b""
    packed = compress(plain, level=COMPRESSION_LEVEL) if plain else b""
    is_compressed = len(packed) < len(plain)
    rest = packed if is_compressed else plain
    flags = _IS_COARSE * is_coarse | _IS_COMPRESSED * is_compressed
    return len(plain), bytes([flags]) + varint.pack(len(rest)) + rest + coder.finish()


def unpack_records(packed: bytes, *, plain_bytes: int, counts: Mapping[Kind, int], around_ms: int) -> list[Record]:
    """Return the records, registries first, statements in session order.

    Raises:
        BundleMalformed: not what `pack_records` makes, or other counts than the head states.
        RecordMalformed: a field out of its bounds.
    """
    if not packed or packed[0] > _IS_COARSE | _IS_COMPRESSED:
        raise BundleMalformed(reason="flags")
    flags = packed[0]
    rest_bytes, start = varint.take(packed, 1)
    end = start + rest_bytes
    if end > len(packed):
        raise BundleMalformed(reason="rest")
    plain = _plain(packed[start:end], plain_bytes, is_compressed=bool(flags & _IS_COMPRESSED))
    sections_bytes, place = varint.take(plain, 0) if plain else (0, 0)
    if place + sections_bytes > len(plain):
        raise BundleMalformed(reason="sections")
    others: dict[Kind, int] = {kind: counts[kind] for kind in counts if kind != Kind.STATEMENT}
    sections = plain[place : place + sections_bytes]
    if bool(sections) != bool(others):
        raise BundleMalformed(reason="sections")
    records = codec0.decode_records(sections, others) if others else []
    texts = Texts(plain[place + sections_bytes :])
    coded, count = packed[end:], counts.get(Kind.STATEMENT, 0)
    units = COARSE if flags & _IS_COARSE else EXACT
    reader = Reader(coded)
    statements = read_statements(reader, count, units=units, around_ms=around_ms, texts=texts) if count else []
    if not texts.is_used_up or not reader.is_used_up or (coded and not count):
        raise BundleMalformed(reason="trailing bytes")
    if not _can_be_told(statements):
        raise BundleMalformed(reason="answers")
    check(statements)
    return [*records, *statements]


def _can_be_told(statements: Sequence[Statement]) -> bool:
    """Return whether the answers, each told in full, come to no more than a body may hold.

    One that is given again takes a bit in this codec, and its whole length wherever the records go from here.
    """
    left_bytes = PLAIN_MAX_BYTES
    for statement in statements:
        left_bytes -= len(statement.response.encode()) if statement.response else 0
        if left_bytes < 0:
            return False
    return True


def _plain(rest: bytes, plain_bytes: int, *, is_compressed: bool) -> bytes:
    """Return the rest as it was before compression, of the length that the head states."""
    try:
        plain = decompress(rest, max_bytes=min(plain_bytes, PLAIN_MAX_BYTES)) if is_compressed else rest
    except CompressedMalformed as error:
        raise BundleMalformed(reason="compression") from error
    if len(plain) != plain_bytes:
        raise BundleMalformed(reason="plain length")
    return plain
