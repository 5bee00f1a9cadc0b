"""All that is in a folder."""

from pathlib import Path


def tree_of(root: Path) -> dict[str, bytes | None]:
    """Return the content of every file by its path below `root`; None for folders and what is neither."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(root.rglob("*"))
    }
