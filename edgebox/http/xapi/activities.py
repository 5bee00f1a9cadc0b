"""The activity resource (1.0.3 part 3, 2.5; 2.0, 4.1.6.4): all that is known of one activity."""

from typing import Any

from aiohttp import web

from edgebox.domain.xapi.values import check_iri
from edgebox.http.xapi.answers import json_answer
from edgebox.http.xapi.call import Call
from edgebox.keys import BOX
from edgebox.services.record_store import ReadingRefused

_PARAMETERS = frozenset({"activityId"})


async def get(call: Call) -> web.Response:
    """Return an activity with the definition that was merged from all that were given."""
    call.allow(_PARAMETERS)
    iri = call.required("activityId")
    check_iri(iri, "activityId")
    if not call.caller.may_read and not (call.caller.client and call.caller.may_record):
        raise ReadingRefused
    found = await call.request.app[BOX].record_store.find_definitions([[iri]])
    activity: dict[str, Any] = {"objectType": "Activity", "id": iri}
    return json_answer(activity | ({"definition": found.by_iri[iri]} if iri in found.by_iri else {}))
