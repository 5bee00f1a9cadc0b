"""Bytes per statement of whole bundle files, beside the same statements as xAPI JSON with gzip."""

from content_packs.base.signing import SealingKey, SigningKey
from sync.bundle.write import Range, write_bundle
from sync.records.rows import Statement
from tests.benchmarks.table import show
from tests.support.school_day import START_MS, gzip_json_bytes, make_day, make_school

SIZES = (20, 200, 2000, 18_000)


def bundle_bytes(statements: list[Statement]) -> int:
    """Return the size of the whole file: head, signature and seal included."""
    span = Range(1, 1, 1, len(statements))
    receiver = SealingKey.generate().public
    content = write_bundle(statements, span, key=SigningKey.generate(), receiver_public=receiver, created_ms=START_MS)
    return len(content)


def slices(day: list[Statement], count: int) -> list[list[Statement]]:
    """Return up to 25 runs of consecutive statements, spread over the day."""
    number = max(1, min(25, len(day) // count))
    step = (len(day) - count) // max(1, number - 1)
    return [day[place * step : place * step + count] for place in range(number)]


def main() -> None:
    """Print the table."""
    school = make_school()
    day = make_day(school)
    rows = []
    for count in SIZES:
        runs = slices(day, count)
        ours = sum(map(bundle_bytes, runs)) / len(runs) / count
        theirs = sum(gzip_json_bytes(school, run) for run in runs) / len(runs) / count
        rows.append([str(count), f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f} x"])
    header = ["statements", "bundle, bytes each", "xAPI JSON + gzip, bytes each", "fewer"]
    show("Bundles of a synthetic school day: head, signature and seal included", header, rows)


if __name__ == "__main__":
    main()
