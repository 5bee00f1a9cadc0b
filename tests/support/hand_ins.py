"""Lessons that learners were given, and what they hand in for them."""

from collections.abc import AsyncIterator

from content_packs.format.manifest import Lesson
from edgebox.keys import Box
from edgebox.services.hand_ins import FILE_MAX_BYTES
from edgebox.store import teaching
from edgebox.store.catalogue import ListedLesson

PACK = "org.example.sums"
LESSON = ListedLesson(PACK, 1, 0, Lesson("adding", {"en": "Adding"}, {}, ()))
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


def photo(size_bytes: int, fill: bytes = b"\x00") -> bytes:
    """Return what begins like a photo, of so many bytes."""
    return JPEG + fill * (size_bytes - len(JPEG))


async def in_chunks(content: bytes, chunk_bytes: int = 65_536) -> AsyncIterator[bytes]:
    """Yield a content as it comes over Wi-Fi."""
    for start in range(0, len(content), chunk_bytes):
        yield content[start : start + chunk_bytes]


async def give_lesson(box: Box, class_no: int) -> int:
    """Give a class a lesson of a pack that need not be there; return the assignment's number."""
    now_ms = box.clock.now_ms()
    return await box.database.write(
        lambda connection: teaching.insert_assignment(connection, class_no, LESSON, person_no=None, now_ms=now_ms)
    )


async def hand_in(box: Box, person_no: int, assignment_no: int, text: str = "", file: bytes | None = None) -> bool:
    """Hand in as the form does."""
    assert file is None or len(file) <= FILE_MAX_BYTES
    taken = None if file is None else await box.hand_ins.take(in_chunks(file))
    return await box.hand_ins.hand_in(person_no, assignment_no, text, taken)
