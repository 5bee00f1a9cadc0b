"""A frame against a base gives back what went in, and nothing larger than was allowed."""

import contextlib
import io
import random

import pytest

from content_packs.base.compress import CompressedMalformed, compress_against, read_against

BASE = random.Random(1).randbytes(300_000)
CONTENT = BASE[1000:200_000] + b"changed" + BASE[200_000:]


def read(frame: bytes, base: bytes, *, limit_bytes: int = 10**6, window_max_bytes: int = 10**6) -> bytes:
    return b"".join(
        read_against(bytearray(base), io.BytesIO(frame), limit_bytes=limit_bytes, window_max_bytes=window_max_bytes)
    )


@pytest.mark.parametrize("base", [b"", b"short", BASE])
@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_what_went_in_comes_out(base: bytes, content: bytes) -> None:
    assert read(compress_against(base, content), base) == content


def test_what_the_base_has_costs_nothing() -> None:
    assert len(compress_against(BASE, CONTENT)) < 200


def test_the_base_is_taken_over_and_emptied() -> None:
    known = bytearray(BASE)
    assert list(read_against(known, io.BytesIO(compress_against(BASE, b"x")), limit_bytes=9, window_max_bytes=9999))
    assert known == b""


def test_more_than_allowed_and_a_larger_window_are_refused() -> None:
    frame = compress_against(b"", bytes(500_000))
    with pytest.raises(CompressedMalformed):
        read(frame, b"", limit_bytes=499_999)
    with pytest.raises(CompressedMalformed):
        read(frame, b"", window_max_bytes=1024)


def test_damage_is_an_error_or_other_bytes_but_never_more() -> None:
    frame = compress_against(BASE, CONTENT)
    for at in range(len(frame)):
        damaged = frame[:at] + bytes([frame[at] ^ 0x55]) + frame[at + 1 :]
        with contextlib.suppress(CompressedMalformed):
            assert len(read(damaged, BASE)) <= 10**6
