"""What a head says of its body, and the body as records; apart from keys and signatures."""

from collections.abc import Mapping
from dataclasses import dataclass

from sync.bundle import codec0, codec1
from sync.bundle.errors import BundleUnsupported
from sync.bundle.layout import Head
from sync.records.kinds import Kind
from sync.records.rows import Record

RECORD_CODECS = frozenset({codec0.CODEC, codec1.CODEC})


@dataclass(frozen=True, slots=True)
class Body:
    """What is needed to read a body that was unsealed."""

    codec_no: int
    plain_bytes: int
    around_ms: int
    counts: Mapping[Kind, int]

    @classmethod
    def from_head(cls, head: Head) -> "Body":
        """Return what a head says.

        Raises:
            BundleUnsupported: a codec this program does not know.
        """
        check_codec(head, RECORD_CODECS)
        return cls(head.codec, head.plain_bytes, head.created_ms, {Kind(kind): count for kind, count in head.counts})

    def unpack(self, packed: bytes) -> list[Record]:
        """Return the records.

        Raises:
            BundleMalformed, RecordMalformed: the body is not what its head says.
        """
        if self.codec_no == codec1.CODEC:
            return codec1.unpack_records(
                packed, plain_bytes=self.plain_bytes, counts=self.counts, around_ms=self.around_ms
            )
        return codec0.unpack_records(packed, plain_bytes=self.plain_bytes, counts=self.counts)


def check_codec(head: Head, codecs: frozenset[int]) -> None:
    """Return if the body is packed by one of these codecs.

    Raises:
        BundleUnsupported: a codec this program does not know.
    """
    if head.codec not in codecs:
        raise BundleUnsupported(what=f"codec {head.codec}")
