"""What a launched unit may do with documents: those of its own activity, learner and registration."""

from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.cmi5.vocabulary import LAUNCH_DATA, PREFERENCES
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
    is_own = activity_iri == launch.activity_iri and registration == launch.registration
    if not is_own or (call.method not in _READING and name in (None, LAUNCH_DATA)):
        raise PlaceRefused


def check_agent_profile(call: Call, name: str | None) -> None:
    """Return if a unit may do this with a profile of its learner: what other apps keep there is not for it.

    Raises:
        PlaceRefused
    """
    if call.caller.launch is not None and (name != PREFERENCES or call.method == "DELETE"):
        raise PlaceRefused


async def note_read(call: Call, document: int) -> None:
    """Note that a unit read a document which it has to read before it speaks (cmi5 10.2.1, 11)."""
    if call.caller.launch is not None:
        await call.request.app[BOX].launching.tokens.note_read(call.caller.launch, document)
