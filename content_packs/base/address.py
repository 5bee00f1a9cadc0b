"""The address that people open: a program that listens on all addresses of its machine has to name one that works."""

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - to recognise it, not to listen on it
# Networks kept free for documentation: the system names the way to them like to any other far place, and no machine
# there could get anything. The port is that of "discard".
_FAR_PLACES = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
_INTERFACES = Path("/sys/class/net")
_GET_ADDRESS = 0x8915
_REQUEST_BYTES = 256
_ADDRESS_AT = slice(20, 24)


def open_address(host: str, port: int, scheme: str = "http") -> str:
    """Return the address to open in a browser for a program that listens on `host`; nothing is sent for it."""
    name = own_address(is_six=host == "::") if host in EVERYWHERE else host
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"


def own_address(*, is_six: bool = False) -> str:
    """Return an address by which others reach this machine, else `localhost`."""
    families = (socket.AF_INET6, socket.AF_INET) if is_six else (socket.AF_INET,)
    for family in families:
        # An address from which the system would send; a UDP socket that is connected has sent nothing yet.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(_FAR_PLACES[family])
            return str(probe.getsockname()[0])
    return next(_interface_addresses(), "localhost")


def _interface_addresses() -> Iterator[str]:
    """Yield the addresses of the interfaces: a box that makes its own Wi-Fi has no way to anywhere else."""
    try:
        names = sorted(path.name for path in _INTERFACES.iterdir() if path.name != "lo")
    except OSError:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name in names:
            with suppress(OSError):
                request = struct.pack(f"{_REQUEST_BYTES}s", name.encode())
                yield socket.inet_ntoa(fcntl.ioctl(probe.fileno(), _GET_ADDRESS, request)[_ADDRESS_AT])
