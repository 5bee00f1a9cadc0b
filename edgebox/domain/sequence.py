"""Which of a tablet's events the box has: all up to a number, and ranges beyond the first gap."""

from collections.abc import Iterable

RANGES_MAX = 64

Ranges = list[tuple[int, int]]


def advance(box_seq: int, ahead: str, seqs: Iterable[int], held_from: int | None = None) -> tuple[int, str]:
    """Return the highest number without a gap below it, and the ranges beyond, after `seqs` arrived.

    Args:
        ahead: ranges beyond the first gap, such as `"7-9,12-12"`.
        held_from: the lowest number the tablet still holds. Whatever is below is at the hub or was refused, so the box
            need not wait for it. A tablet that meets a new box says this. What it sends it still holds, whatever it
            says: a number too high would let it drop work that is not here.
    """
    arrived = list(seqs)
    ranges = _parse(ahead) + [(seq, seq) for seq in arrived]
    box_seq = max(box_seq, min([held_from or 1, *arrived]) - 1)
    merged: Ranges = []
    for low, high in sorted(ranges):
        if low <= box_seq + 1:
            box_seq = max(box_seq, high)
        elif merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    # Forgetting the highest is safe: the number stays too low, and the tablet sends again what the box already has.
    return box_seq, ",".join(f"{low}-{high}" for low, high in merged[:RANGES_MAX])


def _parse(ahead: str) -> Ranges:
    pairs = (part.split("-") for part in ahead.split(",") if part)
    return [(int(low), int(high)) for low, high in pairs]
