"""What a launched unit may do with documents: those of its own activity, learner and registration."""

from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.cmi5.vocabulary import LAUNCH_DATA
from edgebox.http.xapi.call import Call
from edgebox.keys import BOX

_READING = ("GET", "HEAD")


class PlaceRefused(EdgeboxError):
    """A document of another unit or registration, or one that only the box writes."""

    code = "course.place_refused"
    status = 403
    exit_code = 168
    sentence = N_("A unit may only keep what belongs to its own launch.")
    remedy = N_("Tell the maker of the course.")


def check_state(call: Call, activity_iri: str, registration: bytes | None, name: str | None) -> None:
    """Return if a unit may do this with its state; anybody else's right was judged before.

    Raises:
        PlaceRefused
    """
    launch = call.caller.launch
    if launch is None:
        return
    # Without a registration a document is the learner's in all of them; several are only those of one.
    is_own = registration == launch.registration or (registration is None and name is not None)
    is_written = call.method not in _READING
    if activity_iri != launch.activity_iri or not is_own or (is_written and name in (None, LAUNCH_DATA)):
        raise PlaceRefused


async def note_read(call: Call, document: int) -> None:
    """Note that a unit read a document which it has to read before it speaks (cmi5 10.2.1, 11)."""
    if call.caller.launch is not None:
        await call.request.app[BOX].launching.tokens.note_read(call.caller.launch, document)
