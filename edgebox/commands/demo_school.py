"""The school `edgebox demo` starts with: one class, its log-ins, and a stick with the sample course and its overlay."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.builder import build
from content_packs.builder.keys import create_key, public_path, read_key
from edgebox.domain.secret import SecretKind
from edgebox.keys import Box

CLASS_TITLE = "Class 4"
PUBLISHER = "Edgebox samples"
SAMPLES = ("fractions", "fractions-fr")
SAMPLE_PACK = "org.edgebox.samples.fractions"
SAMPLE_LESSON = "equal-parts"
TEACHER_LOGIN = "teacher"
TEACHER_NAME = "Ms Karimi"
LEARNERS = (
    ("Amina", "giraffe", SecretKind.PICTURE),
    ("Bilal", "lion", SecretKind.PICTURE),
    ("Chen", "panda", SecretKind.PICTURE),
    ("Diego", "frog", SecretKind.PICTURE),
    ("Elif", "owl", SecretKind.PIN),
    ("Fatou", "bee", SecretKind.PIN),
    ("Goran", "bear", SecretKind.PIN),
    ("Hana", "rabbit", SecretKind.PIN),
)


@dataclass(frozen=True)
class LogIn:
    """What somebody types or taps to get in."""

    name: str
    secret: str


@dataclass(frozen=True)
class DemoSchool:
    """What the demo prints at every start."""

    teacher: LogIn
    learners: tuple[LogIn, ...]


def build_sample_stick(samples: Path, stick: Path, key_path: Path) -> tuple[list[Path], bytes]:
    """Build the samples onto a folder that plays a stick; return the folders of the packs and the public key file."""
    key = read_key(key_path) if key_path.exists() else create_key(key_path, PUBLISHER)
    folders = [build(samples / name, stick, key).folder for name in SAMPLES]
    return folders, public_path(key_path).read_bytes()


async def make_school(box: Box, password: str) -> DemoSchool:
    """Make the class, its learners and the teacher, and give each a secret."""
    teacher_no = await box.signing_in.add_staff(TEACHER_LOGIN, TEACHER_NAME, password)
    class_no = await box.teaching.add_class(CLASS_TITLE)
    learners = tuple([await _add_learner(box, class_no, *learner) for learner in LEARNERS])
    await box.teaching.assign(class_no, SAMPLE_PACK, SAMPLE_LESSON, teacher_no)
    return DemoSchool(LogIn(TEACHER_LOGIN, password), learners)


async def _add_learner(box: Box, class_no: int, name: str, avatar: str, kind: SecretKind) -> LogIn:
    no = await box.teaching.add_learner(class_no, name, avatar=avatar)
    (made,) = await box.teaching.new_secrets(class_no, [no], kind)
    return LogIn(name, made.secret)


def remember(path: Path, school: DemoSchool) -> None:
    """Keep the log-ins for the next start; a demo's secrets protect nothing."""
    atomic.write_file(path, json.dumps(asdict(school)).encode(), mode=atomic.PRIVATE_MODE)


def recall(path: Path) -> DemoSchool:
    """Return the log-ins that were kept."""
    stored = json.loads(path.read_bytes())
    return DemoSchool(LogIn(**stored["teacher"]), tuple(LogIn(**learner) for learner in stored["learners"]))
