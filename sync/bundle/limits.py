"""Limits of a bundle, checked before anything is decompressed."""

SEALED_MAX_BYTES = 32 << 20
PLAIN_MAX_BYTES = 40 << 20  # a box packs 32 MiB of rows at most; what reads them may hold 200 MB
HEAD_MAX_BYTES = 4096
START_MAX_BYTES = HEAD_MAX_BYTES + 128  # head and signature
FILE_MAX_BYTES = SEALED_MAX_BYTES + START_MAX_BYTES
ACK_MAX_BYTES = START_MAX_BYTES
PAIRED_MAX_BYTES = 8 << 10
RATIO_MAX = 100
RATIO_FROM_BYTES = 1 << 20  # small bodies of equal rows compress further than any honest large one
RECORDS_MAX = 25_000  # a box packs 20,000 changes at most
RANGES_MAX = 64
COMPRESSION_LEVEL = 19


def exceeds_ratio(plain_bytes: int, sealed_bytes: int) -> bool:
    """Return whether a body of these sizes expands more than a bundle may."""
    return plain_bytes > RATIO_FROM_BYTES and plain_bytes > RATIO_MAX * sealed_bytes
