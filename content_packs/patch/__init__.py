"""Patches: one signed file that makes the next version of a pack of the one a box has, or a pack of nothing.

Making them is in `content_packs.patch.making`; a box that only applies them does not load it.
"""

from content_packs.patch.applying import PatchLimits, apply_patch, inspect_patch
from content_packs.patch.errors import USE_WHOLE_PACK
from content_packs.patch.head import MEMORY_BYTES, PatchHead, head_length, open_head
from content_packs.patch.reading import PatchFile

__all__ = [
    "MEMORY_BYTES",
    "USE_WHOLE_PACK",
    "PatchFile",
    "PatchHead",
    "PatchLimits",
    "apply_patch",
    "head_length",
    "inspect_patch",
    "open_head",
]
