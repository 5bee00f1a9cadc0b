"""Verbs, categories, extensions and document names of cmi5 (9.3, 9.5.5, 9.6, 10, 11)."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

_ADL = "http://adlnet.gov/expapi/verbs/"
_W3ID = "https://w3id.org/xapi/adl/verbs/"
_CMI5 = "https://w3id.org/xapi/cmi5/"


class Verb(Enum):
    """The verbs that cmi5 defines. The order is that of their bits in the database."""

    LAUNCHED = _ADL + "launched"
    INITIALIZED = _ADL + "initialized"
    COMPLETED = _ADL + "completed"
    PASSED = _ADL + "passed"
    FAILED = _ADL + "failed"
    ABANDONED = _W3ID + "abandoned"
    WAIVED = _W3ID + "waived"
    TERMINATED = _ADL + "terminated"
    SATISFIED = _W3ID + "satisfied"


CATEGORY = _CMI5 + "context/categories/cmi5"
MOVE_ON_CATEGORY = _CMI5 + "context/categories/moveon"
SESSION_ID = _CMI5 + "context/extensions/sessionid"
MASTERY_SCORE = _CMI5 + "context/extensions/masteryscore"
LAUNCH_MODE = _CMI5 + "context/extensions/launchmode"
LAUNCH_URL = _CMI5 + "context/extensions/launchurl"
MOVE_ON = _CMI5 + "context/extensions/moveon"
LAUNCH_PARAMETERS = _CMI5 + "context/extensions/launchparameters"
REASON = _CMI5 + "result/extensions/reason"
BLOCK_TYPE = _CMI5 + "activitytype/block"
COURSE_TYPE = _CMI5 + "activitytype/course"
LAUNCH_DATA = "LMS.LaunchData"
PREFERENCES = "cmi5LearnerPreferences"

_VERBS: Mapping[str, Verb] = MappingProxyType({verb.value: verb for verb in Verb})
_BITS: Mapping[Verb, int] = MappingProxyType({verb: 1 << place for place, verb in enumerate(Verb)})


def verb_of(iri: str) -> Verb | None:
    """Return the verb of an IRI, None for one that cmi5 does not define."""
    return _VERBS.get(iri)


def to_bits(verbs: frozenset[Verb]) -> int:
    """Return verbs as a number for the database."""
    return sum(_BITS[verb] for verb in verbs)


def from_bits(bits: int) -> frozenset[Verb]:
    """Return the verbs of a number in the database."""
    return frozenset(verb for verb, bit in _BITS.items() if bits & bit)
