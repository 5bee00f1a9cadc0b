"""Compressed parts are checked and bounded."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base.compress import CompressedMalformed, compress, decompress


@given(st.binary(max_size=5000))
def test_what_is_compressed_comes_back(data: bytes) -> None:
    assert decompress(compress(data), max_bytes=5000) == data


def test_every_damaged_byte_is_noticed() -> None:
    frame = compress(bytes(range(256)) * 4)
    for position in range(len(frame)):
        damaged = bytearray(frame)
        damaged[position] ^= 0x41
        with pytest.raises(CompressedMalformed):
            decompress(bytes(damaged), max_bytes=10_000)


def test_every_truncation_is_noticed() -> None:
    frame = compress(b"fractions " * 50)
    for length in range(len(frame)):
        with pytest.raises(CompressedMalformed):
            decompress(frame[:length], max_bytes=10_000)


@pytest.mark.parametrize("tail", [b"x", compress(b"again")])
def test_bytes_after_the_frame_are_refused(tail: bytes) -> None:
    with pytest.raises(CompressedMalformed):
        decompress(compress(b"fractions") + tail, max_bytes=10_000)


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(CompressedMalformed, match="too large"):
        decompress(compress(bytes(50_000_000)), max_bytes=1_000_000)


def test_a_frame_without_checksum_is_refused() -> None:
    with pytest.raises(CompressedMalformed, match="no checksum"):
        decompress(zstandard.ZstdCompressor().compress(b"fractions"), max_bytes=100)


def test_a_frame_that_asks_for_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_checksum=True, write_content_size=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    frame = compressor.compress(bytes(40_000_000))
    with pytest.raises(CompressedMalformed):
        decompress(frame, max_bytes=100_000_000)
