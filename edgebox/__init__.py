"""The box: one asyncio server for a school, its command line and its pages."""

__version__ = "0.1.0"
# 2026-01-01; moves on with each version. No box runs this program earlier, whatever its clock says.
RELEASED_MS = 1_767_225_600_000
