"""Every damaged bundle is refused with a code: each byte changed in three ways, every truncation, parts repeated."""

import os
import random
from collections.abc import Iterator

import pytest

from content_packs.base.errors import EdgeboxError
from sync.bundle.read import open_bundle, verify_bundle
from tests.support.school_day import make_day, make_school
from tests.sync.makers import Maker, answered, registries

IS_SOAK = bool(os.environ.get("EDGEBOX_SOAK"))
BIG_VARIANTS = 60_000 if IS_SOAK else 1500


def changed_bytes(content: bytes, places: Iterator[int] | range) -> Iterator[bytes]:
    """Yield the content with one byte replaced: by one flipped bit, by 0x00 and by 0xFF."""
    dice = random.Random(1)
    for place in places:
        for value in {content[place] ^ 1 << dice.randrange(8), 0, 255} - {content[place]}:
            yield content[:place] + bytes([value]) + content[place + 1 :]


def assert_all_refused(maker: Maker, variants: Iterator[bytes]) -> int:
    """Read every variant; return how many there were."""
    count = 0
    for variant in variants:
        count += 1
        with pytest.raises(EdgeboxError) as refusal:
            open_bundle(verify_bundle(variant, maker.trusted), maker.receiver)
        assert refusal.value.code.startswith("sync.")
    return count


def test_a_small_bundle_is_refused_whatever_byte_is_changed() -> None:
    maker = Maker()
    content = maker.next([*registries(), *map(answered, range(1, 6))])
    assert assert_all_refused(maker, changed_bytes(content, range(len(content)))) > 2 * len(content)


def test_a_small_bundle_is_refused_wherever_it_is_cut() -> None:
    maker = Maker()
    content = maker.next([*registries(), answered(1)])
    assert assert_all_refused(maker, (content[:end] for end in range(len(content)))) == len(content)


def test_a_bundle_with_parts_repeated_or_added_is_refused() -> None:
    maker = Maker()
    content = maker.next(registries())
    repeated = (content[:at] + content[at - 7 : at] + content[at:] for at in range(7, len(content), 3))
    assert_all_refused(maker, repeated)
    assert_all_refused(maker, iter([content + b"\0", content + content, b"", b"EBB\x01"]))


def test_a_large_bundle_is_refused_at_sampled_places() -> None:
    maker = Maker()
    content = maker.next(list(make_day(make_school(), count=2000)))
    dice = random.Random(2)
    places = (dice.randrange(len(content)) for _ in range(BIG_VARIANTS // 3))
    assert_all_refused(maker, changed_bytes(content, places))
