"""Codec 0: the records of a bundle as msgpack columns, kind by kind. See docs/bundle-format.md, "Codec 0"."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from content_packs.base import codec
from content_packs.base.compress import CompressedMalformed, compress, decompress
from sync.bundle import columns
from sync.bundle.boots import pack_boots, unpack_boots
from sync.bundle.errors import BundleMalformed
from sync.bundle.limits import COMPRESSION_LEVEL, PLAIN_MAX_BYTES, RECORDS_MAX
from sync.bundle.statements import pack_statements, unpack_statements
from sync.records.field import Field, FieldType
from sync.records.kinds import KINDS, Kind, check, kind_of
from sync.records.rows import Record, Statement

CODEC = 0
# Nineteen sections of at most 28 columns, each of at most three parts, and some of those of two.
_PARTS_MAX = 900
# Registries come first, so that one pass over the records meets every number before its use.
ORDER = (
    Kind.VERB,
    Kind.ACTIVITY,
    Kind.DEVICE,
    Kind.LEARNER,
    Kind.CLASS,
    Kind.ENROLLMENT,
    Kind.PACK_INSTALL,
    Kind.ASSIGNMENT,
    Kind.STATEMENT,
    Kind.FACT,
    Kind.MEMBER,
    Kind.MARK,
    Kind.STATE,
    Kind.MESSAGE,
    Kind.OFFER,
    Kind.REVOCATION,
    Kind.HEALTH,
    Kind.HAND_IN,
    Kind.BOOT,  # last: what comes before compresses as it would without it
)


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the plain body of a bundle.

    Raises:
        RecordMalformed: a field out of its bounds.
    """
    check(records)
    by_kind: dict[Kind, list[Any]] = {}
    for record in records:
        by_kind.setdefault(kind_of(record), []).append(record)
    return codec.encode([[int(kind), _pack(kind, by_kind[kind])] for kind in ORDER if kind in by_kind])


def pack_records(records: Sequence[Record]) -> tuple[int, bytes]:
    """Return the length of the plain body, and the body as it is sealed. Raises like `encode_records`."""
    plain = encode_records(records)
    return len(plain), compress(plain, level=COMPRESSION_LEVEL)


def unpack_records(packed: bytes, *, plain_bytes: int, counts: Mapping[Kind, int]) -> list[Record]:
    """Return the records of a body as it was sealed. Raises like `decode_records`."""
    try:
        plain = decompress(packed, max_bytes=plain_bytes)
    except CompressedMalformed as error:
        raise BundleMalformed(reason="compression") from error
    if len(plain) != plain_bytes:
        raise BundleMalformed(reason="plain length")
    return decode_records(plain, counts)


def decode_records(plain: bytes, counts: Mapping[Kind, int]) -> list[Record]:
    """Return the records, registries first, statements in session order, and what merges at the end.

    Raises:
        BundleMalformed: not what `encode_records` makes, or other counts than the head states.
        RecordMalformed: a field out of its bounds.
    """
    if sum(counts.values()) > RECORDS_MAX:
        raise BundleMalformed(reason="too many records")
    try:
        sections = codec.decode(plain, max_bytes=PLAIN_MAX_BYTES, max_containers=_PARTS_MAX)
    except codec.CodecMalformed as error:
        raise BundleMalformed(reason="body") from error
    expected = [kind for kind in ORDER if counts.get(kind)]
    if not isinstance(sections, list) or len(sections) != len(expected):
        raise BundleMalformed(reason="sections")
    records: list[Record] = []
    for kind, section in zip(expected, sections, strict=True):
        if not isinstance(section, list) or len(section) != 2 or section[0] != kind:
            raise BundleMalformed(reason="section")
        records += _unpack(kind, section[1], counts[kind])
    check(records)
    return records


def count_by_kind(records: Sequence[Record]) -> dict[Kind, int]:
    """Return how many records of each kind there are."""
    return dict(Counter(kind_of(record) for record in records))


def _pack(kind: Kind, records: list[Any]) -> Any:
    if kind is Kind.STATEMENT:
        return pack_statements(records)
    if kind is Kind.BOOT:
        return pack_boots(records)
    return [_pack_field(field, [getattr(record, field.name) for record in records]) for field in KINDS[kind].fields]


def _unpack(kind: Kind, packed: Any, count: int) -> list[Any]:
    if kind is Kind.STATEMENT:
        statements: list[Statement] = unpack_statements(packed, count)
        return statements
    if kind is Kind.BOOT:
        return list(unpack_boots(packed, count))
    rule = KINDS[kind]
    if not isinstance(packed, list) or len(packed) != len(rule.fields):
        raise BundleMalformed(reason="columns")
    values = [_unpack_field(field, column, count) for field, column in zip(rule.fields, packed, strict=True)]
    return [rule.record(*row) for row in zip(*values, strict=True)]


def _pack_field(field: Field, values: list[Any]) -> Any:
    if field.is_optional:
        present = [value for value in values if value is not None]
        return [columns.pack_bits([value is not None for value in values]), _pack_present(field, present)]
    return _pack_present(field, values)


def _pack_present(field: Field, values: list[Any]) -> Any:
    if field.type is FieldType.INTEGER:
        return columns.pack_integers(columns.deltas(values))
    if field.type is FieldType.BOOLEAN:
        return columns.pack_bits(values)
    if field.type is FieldType.TEXT:
        return columns.pack_texts([value.encode() for value in values])
    return columns.pack_fixed(values) if field.low == field.high else columns.pack_texts(values)


def _unpack_field(field: Field, column: Any, count: int) -> list[Any]:
    if not field.is_optional:
        return _unpack_present(field, column, count)
    if not isinstance(column, list) or len(column) != 2:
        raise BundleMalformed(reason="column of some")
    is_present = columns.unpack_bits(column[0], count)
    values = iter(_unpack_present(field, column[1], sum(is_present)))
    return [next(values) if present else None for present in is_present]


def _unpack_present(field: Field, column: Any, count: int) -> list[Any]:
    if field.type is FieldType.INTEGER:
        return columns.undo_deltas(columns.unpack_integers(column, count))
    if field.type is FieldType.BOOLEAN:
        return columns.unpack_bits(column, count)
    if field.type is FieldType.TEXT:
        return [columns.to_text(value) for value in columns.unpack_texts(column, count)]
    if field.low == field.high:
        return columns.unpack_fixed(column, count, int(field.high))
    return columns.unpack_texts(column, count)
