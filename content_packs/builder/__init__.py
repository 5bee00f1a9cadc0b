"""From an author's folder to a signed pack: check everything, render, write."""

from content_packs.builder.keys import create_key, public_path, read_key
from content_packs.builder.packing import BuildResult, build

__all__ = ["BuildResult", "build", "create_key", "public_path", "read_key"]
