"""What `edgebox check` asks of a box."""

from typing import Any

from edgebox.keys import Box
from edgebox.store import repairs


async def check(box: Box, _arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Read every file of every pack and the learner database once, and repair what a stick in the box has."""
    total_bytes = sum(pack.size_bytes for pack in box.library.shelf.kept.values())
    report = await box.checking.check(
        lambda done_bytes: progress({"done_bytes": min(done_bytes, total_bytes), "total_bytes": total_bytes})
    )
    before = await box.database.read(repairs.list_all)
    found = await box.record_check.scrub(None)
    noted = (await box.database.read(repairs.list_all))[len(before) :]
    return {
        "is_good": report.is_good,
        "checked_files": report.checked.checked_files,
        "checked_bytes": report.checked.checked_bytes,
        "repaired_files": report.repaired_files,
        "lost_files": [
            {"pack": pack, "version": version, "file": wanted.entry.path}
            for wanted in report.lost
            for pack, version in wanted.packs
        ],
        "unreadable_packs": list(report.unreadable),
        "checked_statements": found.checked,
        "damaged_statements": len(found.damaged),
        "missing_statements": sum(repair.statements for repair in noted),
        "damaged_names": sum(each.mended is None for each in found.unfit),
        "database_fault": found.fault,
    }
