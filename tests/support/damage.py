"""What the road does to a file, in every way that can be listed: flipped bytes, cuts, parts repeated or missing."""

import random
from collections.abc import Iterable, Iterator

LONGEST_PART_BYTES = 64


def changed_bytes(content: bytes, places: Iterable[int], dice: random.Random) -> Iterator[bytes]:
    """Yield the content with one byte replaced: by one flipped bit, by 0x00 and by 0xFF."""
    for place in places:
        for value in {content[place] ^ 1 << dice.randrange(8), 0, 255} - {content[place]}:
            yield content[:place] + bytes([value]) + content[place + 1 :]


def cuts(content: bytes, ends: Iterable[int]) -> Iterator[bytes]:
    """Yield the content cut at each end."""
    for end in ends:
        yield content[:end]


def shifted(content: bytes, count: int, dice: random.Random) -> Iterator[bytes]:
    """Yield the content with a part doubled, lost, put elsewhere, or strange bytes between."""
    for number in range(count):
        start = dice.randrange(len(content))
        part = content[start : start + dice.randint(1, LONGEST_PART_BYTES)]
        before, after = content[:start], content[start + len(part) :]
        place = dice.randrange(len(content) + 1)
        made = (
            before + part + part + after,
            before + after,
            content[:place] + part + content[place:],
            content[:place] + dice.randbytes(len(part)) + content[place:],
        )[number % 4]
        if made != content:
            yield made


def everything(content: bytes, dice: random.Random) -> Iterator[bytes]:
    """Yield every byte changed in three ways, every truncation, and parts shifted."""
    yield from changed_bytes(content, range(len(content)), dice)
    yield from cuts(content, range(len(content)))
    yield from shifted(content, len(content) // 4, dice)


def sampled(content: bytes, count: int, dice: random.Random) -> Iterator[bytes]:
    """Yield about so many of them, with the start of the file looked at as closely as all the rest."""
    start = min(len(content), 512)
    places = [dice.randrange(start if number % 2 else len(content)) for number in range(count // 5)]
    yield from changed_bytes(content, places, dice)
    yield from cuts(content, (dice.randrange(len(content)) for _ in range(count // 5)))
    yield from shifted(content, count // 5, dice)
