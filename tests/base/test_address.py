"""A program that listens everywhere names an address at which somebody else finds it."""

import socket

import pytest

from content_packs.base import address
from content_packs.base.address import open_address, own_address


def answers(name: str) -> bool:
    """Listen everywhere and tell whether that is reached by a name."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        socket.create_connection((name, server.getsockname()[1]), timeout=5).close()
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_the_printed_address_is_one_of_the_machine_and_works(host: str) -> None:
    printed = open_address(host, 8080)
    assert printed.endswith(":8080/")
    assert "//0.0.0.0" not in printed
    assert "//[::]" not in printed


def test_an_address_that_was_chosen_is_printed_as_it_is() -> None:
    assert open_address("192.168.1.10", 80) == "http://192.168.1.10:80/"
    assert open_address("fd00::1", 8080) == "http://[fd00::1]:8080/"
    assert open_address("box.example", 8080) == "http://box.example:8080/"


def test_the_machine_is_reached_at_its_own_address() -> None:
    assert answers(own_address())


def test_a_machine_without_a_way_out_names_one_of_its_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    # To this address the system lets nobody send who did not ask for it.
    monkeypatch.setattr(address, "_FAR_PLACES", {socket.AF_INET: ("255.255.255.255", 9)})
    found = own_address()
    assert answers(found)
    if next(address._interface_addresses(), None) is None:
        assert found == "localhost"
    else:
        assert found != "localhost"
