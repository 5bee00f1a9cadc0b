"""Which interfaces lead out of the network of the school, from the tables of Linux."""

_UP = 0x1
_REJECTS = 0x200
_NOTHING_IPV4 = "00000000"
_NOTHING_IPV6 = "0" * 32


def interfaces_out(routes: str, ipv6_routes: str) -> set[str]:
    """Return the interfaces with a default route, from /proc/self/net/route and /proc/self/net/ipv6_route."""
    found = set()
    for line in routes.splitlines()[1:]:
        name, to, _gateway, flags, *_, mask, _mtu, _window, _irtt = line.split()
        if (to, mask) == (_NOTHING_IPV4, _NOTHING_IPV4) and int(flags, 16) & _UP:
            found.add(name)
    for line in ipv6_routes.splitlines():
        to, to_length, *_, flags, name = line.split()
        is_default = to == _NOTHING_IPV6 and to_length == "00"
        if is_default and int(flags, 16) & _UP and not int(flags, 16) & _REJECTS and name != "lo":
            found.add(name)
    return found
