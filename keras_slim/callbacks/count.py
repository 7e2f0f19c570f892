"""Numbers in the logs of `fit` that count something."""


class Count(float):
    """A whole number that Keras's progress bar prints without decimals: "macs: 1,234", not "macs: 1234.0000".

    The bar divides each value by how often it was seen, once, and prints it as `.4f`, or as `.4e` near zero, whatever
    it is. In these two a count differs from any other float. Checked on Keras 3.15; `tests/callbacks/test_logs.py`
    fails when the bar does it in another way.
    """

    def __truediv__(self, other):
        return self if other == 1 else super().__truediv__(other)

    def __format__(self, spec):
        return f"{float(self):,.0f}" if spec in (".4f", ".4e") else super().__format__(spec)
