"""Bytes that a record which re-times all statements of a boot adds to a bundle."""

from content_packs.base.signing import SealingKey, SigningKey
from sync.bundle.write import Range, write_bundle
from sync.records.rows import Boot, Record
from tests.benchmarks.table import show
from tests.support.school_day import START_MS, make_day, make_school

LIMIT_BYTES = 16
DAY_MS = 86_400_000
WRONG_BY = {
    "three days": 3 * DAY_MS,
    "ten years": 3_650 * DAY_MS,
    "56 years (1970)": START_MS,
    "ten years fast": -3_650 * DAY_MS,
}
BOOT_NO = 1_000
SIZES = (0, 20, 2_000, 18_000)


def bundle_bytes(records: list[Record]) -> int:
    """Return the size of the whole file."""
    receiver = SealingKey.generate().public
    span = Range(1, 1, 1, max(len(records), 1))
    return len(write_bundle(records, span, key=SigningKey.generate(), receiver_public=receiver, created_ms=START_MS))


def main() -> None:
    """Print the table."""
    day: list[Record] = list(make_day(make_school()))
    rows = []
    for name, by_ms in WRONG_BY.items():
        repair = Boot(BOOT_NO, by_ms, 3)
        added = [bundle_bytes([repair, *day[:count]]) - bundle_bytes(day[:count]) for count in SIZES]
        rows.append([name, *map(str, added), str(LIMIT_BYTES)])
    header = ["the clock was wrong by", *(f"bytes added to {count}" for count in SIZES), "limit"]
    show(
        f"One record re-times every statement of boot {BOOT_NO}; added to a bundle of so many statements", header, rows
    )


if __name__ == "__main__":
    main()
