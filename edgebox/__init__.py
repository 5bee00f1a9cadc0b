"""The box: one asyncio server for a school, its command line and its pages."""

__version__ = "0.1.0"
