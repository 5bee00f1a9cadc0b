"""`edgebox users`: add classes, learners and teachers, list them, and give a teacher a new password."""

import argparse
from typing import TYPE_CHECKING

from content_packs.base import ids
from edgebox.commands.answer import answer, operate
from edgebox.commands.options import add_common_options

if TYPE_CHECKING:
    from edgebox.commands import Subparsers

_PASSWORD_BYTES = 10


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser("users", help="add and list people", epilog="example: edgebox users list")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add",
        help="add learners to a class, or a teacher; prints their secrets once",
        epilog='example: edgebox users add --class "Class 4" --kind pin Amina Bilal   or   '
        'edgebox users add --teacher karimi "Ms Karimi"',
    )
    who = add.add_mutually_exclusive_group(required=True)
    who.add_argument("--class", dest="school_class", metavar="TITLE", help="title or code; made when there is none")
    who.add_argument("--teacher", metavar="LOGIN", help="add a teacher who signs in with this name")
    add.add_argument("--kind", choices=("picture", "pin"), default="picture", help="secret of learners [picture]")
    add.add_argument("names", nargs="+", metavar="NAME", help="first names of learners, or the teacher's name")
    renewed = actions.add_parser(
        "new-password",
        help="give a teacher a new password; prints it once and signs the teacher out everywhere",
        epilog="example: edgebox users new-password karimi",
    )
    renewed.add_argument("login", metavar="LOGIN", help="the name the teacher signs in with")
    listed = actions.add_parser("list", help="list classes and people", epilog="example: edgebox users list --json")
    for action, run in ((add, _add), (renewed, _renew), (listed, _list)):
        add_common_options(action)
        action.set_defaults(run=run)


def _add(options: argparse.Namespace) -> int:
    return _add_teacher(options) if options.teacher else _add_learners(options)


def _add_learners(options: argparse.Namespace) -> int:
    arguments = {"class": options.school_class, "kind": options.kind, "names": options.names}
    result = operate(options, "users.add_learners", arguments)
    width = max(len(learner["name"]) for learner in result["learners"])
    lines = [f"{result['class']['title']} ({result['class']['code']})"]
    lines += [f"  {learner['name'].ljust(width)}  {learner['secret']}" for learner in result["learners"]]
    return answer(options, result, lines)


def _add_teacher(options: argparse.Namespace) -> int:
    password = _draw_password()
    arguments = {"login": options.teacher, "name": " ".join(options.names), "password": password}
    result = operate(options, "users.add_teacher", arguments) | {"password": password}
    return answer(options, result, [f"{result['name']}: sign in as {result['login']} with {password}"])


def _renew(options: argparse.Namespace) -> int:
    password = _draw_password()
    arguments = {"login": options.login, "password": password}
    result = operate(options, "users.set_password", arguments) | {"password": password}
    return answer(options, result, [f"{result['name']}: sign in as {result['login']} with {password}"])


def _list(options: argparse.Namespace) -> int:
    result = operate(options, "users.list", {})
    lines = [f"teacher  {teacher['login']}  {teacher['name']}" for teacher in result["teachers"]]
    for school_class in result["classes"]:
        lines.append(f"class    {school_class['code']}  {school_class['title']}")
        lines += [f"  {learner['name']}  {learner['secret_kind'] or '-'}" for learner in school_class["learners"]]
    return answer(options, result, lines or ["Nobody is on this box yet."])


def _draw_password() -> str:
    """Return 80 random bits in groups that can be read aloud."""
    digits = ids.random_bytes(_PASSWORD_BYTES).hex()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))
