"""What the tests of pruning share."""

import pytest


@pytest.fixture(autouse=True)
def quick_zoo(uncompiled_adder_layers):
    """Spares the models of the zoo the compiler."""
