"""Large bundles are read by a process of their own: the same records, and whatever it answers is checked."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from sync.bundle import codec0, codec1
from sync.bundle.body import Body
from sync.bundle.errors import BundleMalformed, BundleTooLarge
from sync.hub.decoding import ROWS_PER_MESSAGE, decode_apart, tell
from sync.records.kinds import Kind, RecordMalformed
from sync.records.rows import Record, Statement
from tests.sync.makers import NOW_MS, answered, merging, registries


def packed(records: list[Record], codec_no: int) -> tuple[bytes, Body]:
    if codec_no == codec0.CODEC:
        plain_bytes, content = codec0.pack_records(records)
    else:
        plain_bytes, content = codec1.pack_records(records, around_ms=NOW_MS)
    return content, Body(codec_no, plain_bytes, NOW_MS, codec0.count_by_kind(records))


def records() -> list[Record]:
    return [*registries(), *map(answered, range(1, 2 * ROWS_PER_MESSAGE)), *merging()]


@pytest.mark.parametrize("codec_no", [codec0.CODEC, codec1.CODEC])
def test_the_records_are_those_that_are_read_here(codec_no: int) -> None:
    content, body = packed(records(), codec_no)
    assert decode_apart(content, body) == body.unpack(content)


def test_what_is_wrong_is_told_with_its_code_and_reason() -> None:
    content, body = packed(records(), codec0.CODEC)
    for wrong in (content[:-1], content + b"x", b""):
        with pytest.raises(BundleMalformed) as here:
            body.unpack(wrong)
        with pytest.raises(BundleMalformed) as there:
            decode_apart(wrong, body)
        assert there.value.fields == here.value.fields
    with pytest.raises(BundleMalformed):
        decode_apart(content, replace(body, counts=body.counts | {Kind.VERB: 3}))


def test_absurd_content_is_refused_before_a_record_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    absurd: list[Record] = [*map(answered, range(1, 1_000)), Statement(1, 1, NOW_MS, id=bytes(16), progress=7.0)]
    with monkeypatch.context() as patch:
        patch.setattr(codec1, "check", lambda _records: None)
        content, body = packed(absurd, codec1.CODEC)
    assert len(list(tell(content, body))) == 1
    with pytest.raises(RecordMalformed) as refused:
        decode_apart(content, body)
    assert refused.value.fields == {"kind": "statement", "field": "progress"}


def child_that_says(tmp_path: Path, answer: bytes, *, ends_well: bool = True) -> tuple[str, ...]:
    (tmp_path / "answer").write_bytes(answer)
    program = f"import sys; sys.stdout.buffer.write(open({str(tmp_path / 'answer')!r}, 'rb').read());"
    return ("-c", program + f"sys.stdout.flush(); sys.exit({0 if ends_well else 9})")


def message(value: object) -> bytes:
    content = codec.encode(value)
    return len(content).to_bytes(4, "big") + content


@pytest.mark.skipif(sys.platform != "linux", reason="the child and its limits are Linux's")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xff\xff\xff",
        (5).to_bytes(4, "big") + b"abc",
        message("text"),
        message([99, []]),
        message([int(Kind.VERB), [[1]]]),
        message([int(Kind.VERB), [["one", 2]]]),
        message([int(Kind.VERB), [[1, "http://a"]] * 2]),
        message([int(Kind.DEVICE), [[1, bytes(16)]]]),
        message([0, "x" * 1000]),
    ],
)
def test_a_child_that_the_bundle_took_over_can_only_have_it_refused(tmp_path: Path, answer: bytes) -> None:
    content, body = packed([registries()[0]], codec0.CODEC)
    with pytest.raises(EdgeboxError) as refused:
        decode_apart(content, body, child_that_says(tmp_path, answer))
    assert isinstance(refused.value, BundleMalformed | BundleTooLarge | RecordMalformed)
    assert all(len(str(value)) <= 40 for value in refused.value.fields.values())


def test_a_child_that_does_not_end_well_is_not_believed(tmp_path: Path) -> None:
    content, body = packed([registries()[0]], codec0.CODEC)
    good = b"".join(tell(content, body))
    assert decode_apart(content, body, child_that_says(tmp_path, good)) == [registries()[0]]
    with pytest.raises(BundleTooLarge):
        decode_apart(content, body, child_that_says(tmp_path, good, ends_well=False))
