"""Where a phone finds this computer: the address it has on the local network."""

import ipaddress
import socket

from keras_slim.errors import invalid_argument

LOCALHOST = "127.0.0.1"
# Of a network that exists in documents alone (RFC 5737): a datagram socket that is "connected" sends nothing, but has
# the address that this computer would send from.
_ANYWHERE = ("192.0.2.1", 9)


def own_address():
    """Returns the address of this computer on the network; that of the computer alone where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ANYWHERE)
        except OSError:
            return LOCALHOST
        return probe.getsockname()[0]


def check_address(address, name, owner):
    """Returns one IPv4 address as a string, or raises `ValueError`: all at once would be more doors than needed."""
    expected = "one IPv4 address of this computer, such as '192.168.1.20'"
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError as error:
        raise ValueError(invalid_argument(name, owner, expected=expected, received=address)) from error
    if parsed.is_unspecified or parsed.is_multicast:
        hint = "The server binds to one address. Leave it out to take the one that the network has given."
        raise ValueError(invalid_argument(name, owner, expected=expected, received=address, hint=hint))
    return str(parsed)
