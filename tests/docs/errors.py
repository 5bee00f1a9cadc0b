"""The table of all errors, made from their classes.

Run `python -m tests.docs.errors > docs/errors.md` after an error was added or reworded.
"""

import importlib
import pkgutil
import sys

from content_packs.base.errors import EdgeboxError, all_error_classes

PACKAGES = ("edgebox", "sync", "content_packs")
# `__main__` runs the program, and the steps of the hub's database are run by alembic only.
_NOT_IMPORTED = ("__main__", "migrations", "samples")
_INTRODUCTION = """\
# Errors

Made from the program by `python -m tests.docs.errors > docs/errors.md`; a test compares the two.

A command that fails prints one line, `edgebox: CODE: what happened. What to do.`, and ends with the exit code. A page
shows the same words. Exit code 0 is success, 1 a fault of the program, 2 a command line that is not understood, 130
Ctrl-C. **again** marks errors where the same try can succeed later. Words in braces are filled in.

| exit code | code | HTTP | again | what happened | what to do |
| --- | --- | --- | --- | --- | --- |
"""


def error_classes() -> list[type[EdgeboxError]]:
    """Return every error class of the three packages, by exit code."""
    for name in PACKAGES:
        _import_all(name)
    ours = (found for found in all_error_classes() if found.__module__.partition(".")[0] in PACKAGES)
    return sorted(ours, key=lambda found: (found.exit_code, found.code))


def error_table() -> str:
    """Return the text of `docs/errors.md`."""
    return _INTRODUCTION + "".join(_row(found) for found in error_classes())


def _import_all(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, f"{name}."):
        if module.name.rpartition(".")[2] in _NOT_IMPORTED:
            continue
        if module.ispkg:
            _import_all(module.name)
        else:
            importlib.import_module(module.name)


def _row(found: type[EdgeboxError]) -> str:
    again = "again" if found.retryable else ""
    cells = (found.exit_code, f"`{found.code}`", found.status, again, found.sentence, found.remedy)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    sys.stdout.write(error_table())
