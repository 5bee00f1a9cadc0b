"""`python -m tests.benchmarks [NAME ...]` prints the figures, all of them unless some are named."""

import sys
from importlib import import_module

NAMES = (
    "start", "pages", "content", "statements", "storm", "record", "million",
    "bundle", "records", "catalogue", "large_pack", "imports", "stick",
    "updates", "fetching", "time", "transfer", "way_down", "meter", "express", "fairness", "six_months",
)  # fmt: skip


def main() -> int:
    """Run the benchmarks one after the other."""
    for name in sys.argv[1:] or NAMES:
        import_module(f"tests.benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
