"""The parsers of cmi5: course structures, the courses of packs, and what launched units send."""

import contextlib
import io
import json

from content_packs.base.errors import EdgeboxError
from content_packs.format import cmi5
from content_packs.importers.cmi5 import Cmi5
from content_packs.importers.contract import Source, Sureness
from edgebox.domain.cmi5.preferences import check_preferences
from edgebox.domain.cmi5.rules import next_stage
from edgebox.domain.cmi5.session import Launch, Mode, Stage
from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.rules import check_statement
from edgebox.domain.xapi.values import parse_json
from edgebox.domain.xapi.version import Version
from tests.fuzz.target import Target, void
from tests.support.cmi5 import ACTOR, block, package, structure, unit

_ALONE = structure(block("b", unit("one", "https://example.org/?a=1", masteryScore="0.5", moveOn="Passed")))
_PACKAGE = package(structure(unit("one", "index.html?a=1"), block("b", unit("two", masteryScore=".5"))))
_ID = bytes(range(16))
_UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
_AGENT = "account:https://example.org ada"
_LAUNCH = Launch(1, _ID, 1, _ID, _AGENT, None, "urn:x:u", "urn:x:p", Mode.NORMAL, 0.5, 0)
_STAGE = Stage(frozenset({Verb.INITIALIZED}), frozenset({Verb.INITIALIZED}), True, True)
_CATEGORIES = [
    "https://w3id.org/xapi/cmi5/context/categories/cmi5",
    "https://w3id.org/xapi/cmi5/context/categories/moveon",
]
_STATEMENT = {
    "id": _UUID,
    "actor": ACTOR,
    "verb": {"id": Verb.PASSED.value},
    "object": {"id": "urn:x:u"},
    "timestamp": "2026-11-25T10:00:00Z",
    "result": {"success": True, "duration": "PT1S", "score": {"scaled": 0.9, "raw": 9, "min": 0, "max": 10}},
    "context": {
        "registration": _UUID,
        "contextActivities": {"grouping": [{"id": "urn:x:p"}], "category": [{"id": iri} for iri in _CATEGORIES]},
        "extensions": {
            "https://w3id.org/xapi/cmi5/context/extensions/sessionid": _UUID,
            "https://w3id.org/xapi/cmi5/context/extensions/masteryscore": 0.5,
        },
    },
}
_SENDER = Sender("https://example.org", "account:x y", None, Version.ONE, is_unit=True)


def _structure(data: bytes) -> None:
    source, importer = Source(io.BytesIO(data)), Cmi5()
    if importer.probe(source) is Sureness.NO:
        return
    importer.course(source)
    for item in importer.items(source):
        content = b"".join(importer.open(source, item))
        if item.path == "cmi5/course.json":
            assert cmi5.write_course(cmi5.read_course(content)) == content


def _course(data: bytes) -> None:
    with contextlib.suppress(EdgeboxError):
        cmi5.read_pointer(data)
    void(cmi5.read_course(data).units)


def _statement(data: bytes) -> None:
    statement = parse_json(data)
    check_statement(statement, Version.ONE)
    void(from_statement(statement, None, 0, _SENDER))
    void(next_stage(_LAUNCH, _STAGE, statement))


UNIT_TARGETS = (
    Target("cmi5_structure", _structure, [_ALONE, _PACKAGE]),
    Target("cmi5_course", _course, [cmi5.write_pointer("course.json", 1), b'{"format":1,"units":[],"children":[[1]]}']),
    Target("cmi5_statement", _statement, [json.dumps(_STATEMENT).encode()]),
    Target(
        "cmi5_preferences",
        lambda data: check_preferences("application/json", data),
        [b'{"languagePreference": "en,fr", "audioPreference": "on"}'],
    ),
)
