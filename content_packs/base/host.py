"""Which names in a Host header are ours: the defence against DNS rebinding, the same for box and hub."""

import re
from collections.abc import Container
from ipaddress import ip_address

# Names are repeated in the Content-Security-Policy, so nothing passes that could end a word there; no IPv6 zones.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}?)\.?(?::[0-9]{1,5})?")


def host_name(host: str) -> str:
    """Return the name of a Host header in lower case without its port, or nothing if the header is malformed."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else ""


def is_ours(name: str, hostnames: Container[str]) -> bool:
    """Tell whether this machine answers to a name. An address needs no name lookup, so nobody can rebind it."""
    if name in hostnames:
        return name != ""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
