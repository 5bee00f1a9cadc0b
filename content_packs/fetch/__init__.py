"""Files of a depot over a line, from a neighbour or from a folder: resumed at the byte, verified as they come."""

from content_packs.fetch.blocks import BlockMap, one_block
from content_packs.fetch.contract import Ask, Source, Stream
from content_packs.fetch.folder import FolderSource
from content_packs.fetch.http import HttpSource
from content_packs.fetch.target import Pace, Progress, Target
from content_packs.fetch.transfer import Transfer

__all__ = [
    "Ask",
    "BlockMap",
    "FolderSource",
    "HttpSource",
    "Pace",
    "Progress",
    "Source",
    "Stream",
    "Target",
    "Transfer",
    "one_block",
]
