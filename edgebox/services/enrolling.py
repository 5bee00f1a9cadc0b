"""Enrol a box with a hub by a one-time code, and say in words why it did not go."""

from typing import Any, Protocol

from content_packs.base.errors import N_
from content_packs.base.signing import SigningKey
from sync import enrolment
from sync.enrolment import EnrolmentExpired, EnrolmentRefused, Hub
from sync.transport.errors import HubBusy, HubRefused, HubUnreached, LinkDown

# What a hub answers to an enrolment, by its code.
_CODE_REFUSED = {
    "hub.enrolment_code_invalid": N_("the code is wrong"),
    "hub.enrolment_code_used": N_("another box has used the code"),
    EnrolmentExpired.code: N_("the code is too old"),
    EnrolmentRefused.code: N_("the code is wrong"),
}
_BUSY_REASONS = {"hub.too_many_tries": N_("too many wrong codes were tried; wait ten minutes")}


class Link(Protocol):
    """A line to the hub."""

    async def enroll(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the hub's answer to an enrolment."""

    async def close(self) -> None:
        """Close the connection."""


async def enroll(link: Link, code: str, key: SigningKey) -> Hub:
    """Return the hub behind a line once it took the code, and close the line. Safe to repeat with one code.

    Raises:
        EnrolmentRefused, SignatureInvalid: the code or the answer is not good.
        HubUnreached, LinkCaptured, HubRefused: no answer, or no.
    """
    try:
        answer = await link.enroll(enrolment.make_request(code, key))
    except LinkDown as error:
        raise HubUnreached(**error.fields) from error
    except HubBusy as error:
        reason = _BUSY_REASONS.get(error.fields["hub_code"], N_("it is busy"))
        raise HubUnreached(reason=reason, fault=error.fields["hub_code"]) from error
    except HubRefused as error:
        if known := _CODE_REFUSED.get(error.fields["hub_code"]):
            raise EnrolmentRefused(reason=known) from error
        raise
    finally:
        await link.close()
    return enrolment.check_answer(answer, code, key.verify_key)
