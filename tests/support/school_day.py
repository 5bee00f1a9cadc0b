"""A synthetic school day: 300 learners, 120 shared tablets, 40 lessons, bursty periods, about 18,000 statements.

Learners answer with an ability against an item's difficulty, films are watched in steps of 30 s, some lessons are
favourites. The same seed gives the same day. Registries (verbs, activities, devices, learners) are known already.
"""

import gzip
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from content_packs.base import ids
from sync.records.rows import Activity, Device, Learner, Record, Statement, Verb

ADL = "http://adlnet.gov/expapi/verbs/"
VERBS = ("launched", "progressed", "answered", "experienced", "completed", "passed", "failed", "exited")
START_MS = 1_780_300_800_000
EVENTS_PER_SESSION = 23.4
PERIODS = 10


@dataclass
class School:
    """Who is there and what there is to learn."""

    learners: list[bytes] = field(default_factory=list)
    abilities: list[float] = field(default_factory=list)
    devices: list[bytes] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)
    lessons: list[tuple[int, list[tuple[int, str, float, float]]]] = field(default_factory=list)

    def records(self) -> list[Record]:
        """Return the registries."""
        found: list[Record] = [Verb(no, ADL + name) for no, name in enumerate(VERBS, 1)]
        found += [Activity(no, iri) for no, iri in enumerate(self.activities, 1)]
        found += [Device(no, device) for no, device in enumerate(self.devices, 1)]
        return found + [Learner(no, pseudonym) for no, pseudonym in enumerate(self.learners, 1)]


@dataclass(frozen=True)
class Shape:
    """What kind of day it is.

    Attributes:
        attendance: how many of the learners are there, in [0, 1].
        together: how many of them do what their class does, in [0, 1].
        first_lesson: the favourite lesson; those after it are liked less and less.
        events_per_session: of a learner in a period, about.
    """

    attendance: float = 0.94
    together: float = 0.85
    first_lesson: int = 0
    events_per_session: float = EVENTS_PER_SESSION


USUAL = Shape()


def make_school(seed: int = 1, learners: int = 300, lessons: int = 40, tablets: int = 120) -> School:
    """Return a school."""
    dice = random.Random(seed)
    school = School(
        [dice.randbytes(16) for _ in range(learners)],
        [dice.gauss(0, 1) for _ in range(learners)],
        [dice.randbytes(16) for _ in range(tablets)],
    )
    for lesson in range(lessons):
        items = []
        for number in range(dice.randint(10, 22)):
            kind = dice.choices(["quiz", "film", "text"], [6, 2, 2])[0]
            school.activities.append(f"urn:x-edgebox:org.example.course-{lesson % 5}:lesson-{lesson}-{kind}-{number}")
            items.append((len(school.activities), kind, dice.gauss(0, 1), dice.uniform(60, 300)))
        school.activities.append(f"urn:x-edgebox:org.example.course-{lesson % 5}:lesson-{lesson}")
        school.lessons.append((len(school.activities), items))
    return school


def make_day(school: School, seed: int = 7, count: int = 18_000, shape: Shape = USUAL) -> list[Statement]:
    """Return the first `count` statements of a day, by time."""
    dice = random.Random(seed)
    lessons = len(school.lessons)
    weights = [1 / ((place - shape.first_lesson) % lessons + 1) for place in range(lessons)]
    found: list[Statement] = []
    # A tablet is in one pair of hands at a time, so a period has as many classes as there are tablets for.
    free = [dice.sample(range(1, len(school.devices) + 1), len(school.devices)) for _ in range(PERIODS)]
    for first in range(0, len(school.learners) // 30 * 30, 30):
        for period in sorted(dice.sample([period for period in range(PERIODS) if len(free[period]) >= 30], 3)):
            start_ms = START_MS + (8 * 3600 + period * 3300) * 1000
            lesson = dice.choices(range(len(school.lessons)), weights)[0]
            devices, free[period] = free[period][:30], free[period][30:]
            for learner, device in zip(range(first + 1, first + 31), devices, strict=True):
                if dice.random() < shape.attendance:
                    own = (
                        lesson
                        if dice.random() < shape.together
                        else dice.choices(range(len(school.lessons)), weights)[0]
                    )
                    session = _Session(school, dice, learner, device, start_ms, shape.events_per_session)
                    found += session.run(*school.lessons[own])
    found.sort(key=lambda statement: (statement.timestamp_ms, statement.device_no))
    return _numbered(found)[:count]


def as_xapi(school: School, statements: Sequence[Statement]) -> list[dict[str, object]]:
    """Return the statements as the xAPI JSON another system would send, without decoration."""
    return [_xapi(school, statement) for statement in statements]


def gzip_json_bytes(school: School, statements: Sequence[Statement]) -> int:
    """Return the size of the xAPI JSON with gzip."""
    text = json.dumps(as_xapi(school, statements), separators=(",", ":"))
    return len(gzip.compress(text.encode(), 6, mtime=0))


class _Session:
    """One learner on one tablet for one period."""

    def __init__(
        self, school: School, dice: random.Random, learner: int, device: int, start_ms: int, events: float
    ) -> None:
        self.dice = dice
        self.learner = learner
        self.device = device
        self.ability = school.abilities[learner - 1]
        self.now_ms = start_ms + int(dice.lognormvariate(math.log(90_000), 0.5))
        self.start_ms = self.now_ms
        self.end_ms = start_ms + 2_700_000
        self.left = max(4, int(dice.gauss(events, 5)))
        self.made: list[Statement] = []

    def run(self, lesson: int, items: list[tuple[int, str, float, float]]) -> list[Statement]:
        """Return what the learner did."""
        self.add("launched", lesson)
        place = self.dice.randrange(max(1, len(items) // 2)) if self.dice.random() < 0.5 else 0
        done = 0
        while place < len(items) and self.goes_on():
            activity, kind, difficulty, length = items[place]
            {"film": self.watch, "text": self.read, "quiz": self.answer}[kind](activity, difficulty, length)
            done += 1
            place = max(0, place + (1 if self.dice.random() < 0.93 else self.dice.choice([-1, 2])))
            self.now_ms += int(self.dice.expovariate(1 / 4000)) + 600
        self.close(lesson, round(min(done / len(items), 1.0), 2))
        return self.made

    def goes_on(self) -> bool:
        return self.now_ms < self.end_ms and len(self.made) < self.left - 2

    def watch(self, activity: int, _difficulty: float, length: float) -> None:
        seen = 0.0
        while seen < 1 and self.goes_on():
            is_whole = self.dice.random() < 0.85
            step_ms = 30_000 + int(self.dice.expovariate(1 / 400)) if is_whole else int(self.dice.uniform(3e3, 3e4))
            self.now_ms += step_ms
            seen = min(1.0, seen + step_ms / 1000 / length)
            self.add("progressed", activity, progress=round(seen, 2), duration_ms=step_ms)
            if self.dice.random() < 0.08:
                return

    def read(self, activity: int, _difficulty: float, _length: float) -> None:
        duration_ms = int(self.dice.lognormvariate(math.log(70_000), 0.6))
        self.now_ms += duration_ms
        self.add("experienced", activity, duration_ms=duration_ms, progress=1.0)

    def answer(self, activity: int, difficulty: float, _length: float) -> None:
        for _ in range(self.dice.randint(2, 6)):
            if not self.goes_on():
                return
            is_right = self.dice.random() < 1 / (1 + math.exp(-(self.ability - difficulty + 0.6)))
            duration_ms = int(self.dice.lognormvariate(math.log(22_000 if is_right else 30_000), 0.65))
            self.now_ms += duration_ms + int(self.dice.expovariate(1 / 1800)) + 180
            letter = "abcd"[self.dice.choices(range(4), [5, 3, 2, 2])[0]]
            score = float(is_right)
            self.add(
                "answered", activity, duration_ms=duration_ms, success=is_right, score_raw=score, score_max=1.0,
                score_scaled=score, response=letter,
            )  # fmt: skip

    def close(self, lesson: int, progress: float) -> None:
        answers = [statement.success for statement in self.made if statement.response is not None]
        if progress >= 0.5 and answers:
            share, self.now_ms = sum(map(bool, answers)) / len(answers), self.now_ms + 900
            self.add(
                "passed" if share > 0.6 else "failed", lesson, success=share > 0.6, progress=progress,
                score_raw=float(sum(map(bool, answers))), score_max=float(len(answers)), score_scaled=share,
            )  # fmt: skip
        self.now_ms += int(self.dice.expovariate(1 / 20_000))
        self.add("exited", lesson, progress=progress, duration_ms=self.now_ms - self.start_ms)

    def add(self, verb: str, activity: int, **result: object) -> None:
        no = VERBS.index(verb) + 1
        self.made.append(
            Statement(no, activity, self.now_ms, learner_no=self.learner, device_no=self.device, **result)  # type: ignore[arg-type]
        )


def _numbered(statements: list[Statement]) -> list[Statement]:
    """Give every statement its number on its device and the number of the event that opened its attempt."""
    last: dict[int | None, int] = {}
    opened: dict[tuple[int | None, int | None], int] = {}
    found = []
    for statement in statements:
        seq = last[statement.device_no] = last.get(statement.device_no, 5000) + 1
        key = (statement.device_no, statement.learner_no)
        if VERBS[statement.verb_no - 1] == "launched":
            opened[key] = seq
        fields = {name: getattr(statement, name) for name in Statement.__slots__}
        found.append(Statement(**fields | {"device_seq": seq, "attempt_seq": opened.get(key, seq)}))
    return found


def _xapi(school: School, statement: Statement) -> dict[str, object]:
    device = school.devices[(statement.device_no or 1) - 1]
    seq, attempt = statement.device_seq or 0, statement.attempt_seq or 0
    result: dict[str, object] = {}
    if statement.success is not None:
        result["success"] = statement.success
    if statement.score_raw is not None:
        result["score"] = {"scaled": statement.score_scaled, "raw": statement.score_raw, "max": statement.score_max}
    if statement.duration_ms is not None:
        result["duration"] = f"PT{statement.duration_ms / 1000:.2f}S"
    if statement.response is not None:
        result["response"] = statement.response
    if statement.progress is not None:
        result["extensions"] = {"https://w3id.org/xapi/cmi5/result/extensions/progress": statement.progress}
    learner = ids.format_uuid(school.learners[(statement.learner_no or 1) - 1])
    return {
        "id": ids.format_uuid(ids.derive_statement_id(device, seq, statement.timestamp_ms)),
        "actor": {"account": {"homePage": "http://box-0123456789ab.internal/", "name": learner}},
        "verb": {"id": ADL + VERBS[statement.verb_no - 1]},
        "object": {"id": school.activities[statement.activity_no - 1]},
        "result": result,
        "context": {"registration": ids.format_uuid(ids.derive_registration(device, attempt))},
        "timestamp": statement.timestamp_ms,
        "version": "1.0.3",
    }
