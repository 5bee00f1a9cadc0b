"""What keeps a box or a hub from starting: its folder, its address, its database; one class per code.

Both programs meet the same troubles, and each has one line and a remedy instead of a trace of the program.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gaierror

from content_packs.base.errors import N_, EdgeboxError

PORT_MAX = 65535
_NO_SUCH_HOST = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_NO_SUCH_FOLDER = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.EDQUOT,
    }
)


class PortTaken(EdgeboxError):
    """Another program listens on the port."""

    code = "start.port_taken"
    status = 503
    exit_code = 96
    retryable = True
    sentence = N_("Port {port} is taken by another program, perhaps a second Edgebox.")
    remedy = N_("Stop that program, or choose another port.")


class PortRefused(EdgeboxError):
    """No port, or one the user may not use."""

    code = "start.port_refused"
    status = 503
    exit_code = 97
    sentence = N_("Port {port} cannot be used.")
    remedy = N_("Choose one from 1024 to 65535. Lower ones need a right of their own.")


class HostUnknown(EdgeboxError):
    """An address to listen on that is not one of this machine."""

    code = "start.host_unknown"
    status = 503
    exit_code = 98
    sentence = N_("This machine does not have the address {host}.")
    remedy = N_("Name one it has with --host; 0.0.0.0 means all of them.")


class FolderUnusable(EdgeboxError):
    """The data folder cannot be made, read or written."""

    code = "start.folder_unusable"
    status = 503
    exit_code = 99
    sentence = N_("The folder {folder} cannot be used ({reason}).")
    remedy = N_("Choose another folder with --data, or let the user of this program read and write this one.")


class StoreDamaged(EdgeboxError):
    """A file that is no database, or no longer a whole one."""

    code = "store.damaged"
    status = 503
    exit_code = 101
    sentence = N_("The database {file} is damaged ({reason}).")
    remedy = N_("The file is left as it is. Stop the program, keep the file, and put the backup of the folder back.")


@contextmanager
def listen_errors(host: str, port: int) -> Iterator[None]:
    """Turn what keeps a program from listening into an error with a remedy; let every other error pass.

    Raises:
        PortTaken, PortRefused, HostUnknown
    """
    if not 0 <= port <= PORT_MAX:
        raise PortRefused(port=port)
    try:
        yield
    except gaierror as error:
        raise HostUnknown(host=host) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port=port) from error
        if error.errno == errno.EACCES:
            raise PortRefused(port=port) from error
        if error.errno in _NO_SUCH_HOST:
            raise HostUnknown(host=host) from error
        raise


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn what makes a data folder useless into FolderUnusable; let every other error pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SUCH_FOLDER:
            # What Linux says of making a folder where a file is: that it is there already.
            number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
            raise FolderUnusable(folder=str(folder), reason=os.strerror(number)) from error
        raise


@contextmanager
def hold_lock(path: Path, busy: EdgeboxError) -> Iterator[None]:
    """Hold the lock file of a data folder, so that two writers never meet.

    Raises:
        FolderUnusable: the file cannot be made.
        EdgeboxError: `busy`, when somebody else holds it.
    """
    with folder_errors(path.parent):
        lock = path.open("wb")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        yield
