"""Numbers and bytes one after the other, read with care."""


def varint(number):
    """Returns an integer of at least 0 as bytes, seven bits in each, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def framed(content):
    """Returns bytes with their number in front."""
    return varint(len(content)) + content


class ByteReader:
    """Takes bytes from the front of others; raises `ValueError` where there are too few."""

    def __init__(self, content):
        self._content = memoryview(content)
        self._place = 0

    @property
    def left(self):
        return len(self._content) - self._place

    def take(self, number):
        if number > self.left:
            raise ValueError(f"{number} bytes are missing where {self.left} are left")
        self._place += number
        return self._content[self._place - number : self._place]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        number = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("a number has too many digits")

    def framed(self):
        return self.take(self.varint())

    def check_end(self):
        if self.left:
            raise ValueError(f"{self.left} bytes are left over")
