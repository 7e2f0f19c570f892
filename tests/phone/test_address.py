"""The address that a phone can reach: found without a word on the network."""

import ipaddress
import socket

import pytest

from keras_slim.phone import address


def test_it_is_one_of_this_computer():
    found = address.own_address()
    assert address.check_address(found, "address", "measure") == found
    with socket.socket() as listener:
        listener.bind((found, 0))  # only an address of this computer can be bound to


def test_without_a_network_it_is_this_computer_alone(monkeypatch):
    monkeypatch.setattr(address, "_ANYWHERE", ("no address", 9))
    assert address.own_address() == "127.0.0.1"


def test_nothing_is_sent(monkeypatch):
    assert ipaddress.ip_address(address._ANYWHERE[0]) in ipaddress.ip_network("192.0.2.0/24")  # in documents alone
    kinds = []
    real = socket.socket

    def watched(family, kind):
        kinds.append(kind)
        return real(family, kind)

    monkeypatch.setattr(socket, "socket", watched)
    address.own_address()
    assert kinds == [socket.SOCK_DGRAM]  # which greets nobody when it is connected


@pytest.mark.parametrize("wrong", ["0.0.0.0", "", "::", "::1", "localhost", "224.0.0.1", "1.2.3", None])
def test_all_addresses_at_once_are_refused(wrong):
    with pytest.raises(ValueError, match=r"`address` of `measure`\. Expected one IPv4 address of this computer"):
        address.check_address(wrong, "address", "measure")
