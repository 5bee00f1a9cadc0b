"""The one door to zstd (RFC 8878): checksums always on, output always bounded."""

import zstandard

from content_packs.base.errors import N_, EdgeboxError

WINDOW_MAX_BYTES = 8 * 1024 * 1024
_STEP_BYTES = 64 * 1024


class CompressedMalformed(EdgeboxError):
    """A zstd frame that is damaged, too large, or followed by other bytes."""

    code = "compress.malformed"
    status = 400
    exit_code = 11
    sentence = N_("A compressed part is damaged ({reason}).")
    remedy = N_("Copy the file again from where it came from.")


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
