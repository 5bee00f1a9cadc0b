"""The one door to zstd (RFC 8878): output always bounded, and checksums wherever no hash covers the bytes anyway.

A frame *against a base* may refer to bytes both sides have and is read with them only. They are made with the standard
library's binding (in Python before 3.14 its backport), because the one that reads everything else cannot search a long
base while compressing; reading them needs nothing special.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, Final

import zstandard

from content_packs.base.errors import N_, EdgeboxError

WINDOW_MAX_BYTES = 8 * 1024 * 1024
_STEP_BYTES = 64 * 1024
_BASE_MIN_BYTES: Final = 8
_MAGIC_BYTES: Final = 4
_WINDOW_LOG_MIN = 10
_LONG_RANGE_BYTES = 1024 * 1024


class CompressedMalformed(EdgeboxError):
    """A zstd frame that is damaged, too large, or followed by other bytes."""

    code = "compress.malformed"
    status = 400
    exit_code = 11
    sentence = N_("A compressed part is damaged ({reason}).")
    remedy = N_("Copy the file again from where it came from.")


class CompressorMissing(EdgeboxError):
    """The library that compresses against a base is not installed; boxes do not need it."""

    code = "compress.missing"
    exit_code = 231
    sentence = N_("This program was installed without the part that makes patches.")
    remedy = N_("Install it with: pip install 'edgebox[publish]'")


def compress(data: bytes, *, level: int = 19) -> bytes:
    """Return one zstd frame with checksum and content size."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress(data)


def decompress(data: bytes, *, max_bytes: int) -> bytes:
    """Return the content of exactly one frame.

    The one-shot call of the library ignores its limit when the header states a size, so the header is read first and
    the frame is then streamed against the budget.

    Raises:
        CompressedMalformed: damaged, truncated, over `max_bytes`, a window over 8 MiB, or trailing bytes.
    """
    try:
        frame = zstandard.get_frame_parameters(data)
        if not frame.has_checksum or frame.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            raise CompressedMalformed(reason="no checksum or size")
        if frame.content_size > max_bytes or frame.window_size > max(WINDOW_MAX_BYTES, 1024):
            raise CompressedMalformed(reason="too large")
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX_BYTES).decompressobj()
        content = b"".join(_stream(reader, data, frame.content_size))
    except zstandard.ZstdError as error:
        raise CompressedMalformed(reason="frame") from error
    if not reader.eof or reader.unused_data or len(content) != frame.content_size:
        raise CompressedMalformed(reason="truncated or trailing bytes")
    return content


def _stream(reader: "zstandard.ZstdDecompressionObj", data: bytes, budget_bytes: int) -> list[bytes]:
    """Feed `data` in small steps and stop as soon as more than the stated size came out."""
    parts: list[bytes] = []
    total_bytes = 0
    for start in range(0, len(data), _STEP_BYTES):
        step = data[start : start + _STEP_BYTES]
        if reader.eof:
            raise CompressedMalformed(reason="trailing bytes")
        part = reader.decompress(step)
        total_bytes += len(part)
        if total_bytes > budget_bytes:
            raise CompressedMalformed(reason="more than stated")
        parts.append(part)
    return parts


def compress_against(base: bytes, data: bytes, *, level: int = 19, window_max_bytes: int = 2**27) -> bytes:
    """Return one frame, without its magic number, for `read_against` and the same `base`; takes long and much memory.

    Raises:
        CompressorMissing: the library for it is not installed.
    """
    maker = _maker()
    base = base if len(base) >= _BASE_MIN_BYTES else b""
    reach_bytes = min(len(base) + len(data), window_max_bytes)
    parameter = maker.CompressionParameter
    options = {
        parameter.compression_level: level,
        parameter.window_log: max(_WINDOW_LOG_MIN, reach_bytes.bit_length()),
        parameter.enable_long_distance_matching: int(reach_bytes > _LONG_RANGE_BYTES),
        parameter.content_size_flag: 1,
    }
    before = maker.ZstdDict(base, is_raw=True).as_prefix if base else None
    compressor = maker.ZstdCompressor(options=options, zstd_dict=before)
    compressor.set_pledged_input_size(len(data))
    frame: bytes = compressor.compress(data, maker.ZstdCompressor.FLUSH_FRAME)
    return frame[_MAGIC_BYTES:]


def read_against(base: bytearray, source: IO[bytes], *, limit_bytes: int, window_max_bytes: int) -> Iterator[bytes]:
    """Yield the content of the frame that `source` begins with, in steps of at most 64 KiB.

    Takes `base` over and empties it, so that its bytes are held once. The frame has no checksum, and one that is cut
    short ends early: what comes out has to be checked by its length and hash.

    Raises:
        CompressedMalformed: damaged, more than `limit_bytes`, or a window over `window_max_bytes`.
    """
    known = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    before = known if len(base) >= _BASE_MIN_BYTES else None
    base.clear()
    window_bytes = max(window_max_bytes, 1 << _WINDOW_LOG_MIN)
    try:
        reader = zstandard.ZstdDecompressor(
            dict_data=before, max_window_size=window_bytes, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        ).stream_reader(source)
        while step := reader.read(_STEP_BYTES):
            limit_bytes -= len(step)
            if limit_bytes < 0:
                raise CompressedMalformed(reason="more than stated")
            yield step
    except zstandard.ZstdError as error:
        raise CompressedMalformed(reason="frame") from error


def _maker() -> Any:
    try:
        return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as error:
        raise CompressorMissing from error
