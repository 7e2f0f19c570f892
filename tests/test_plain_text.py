import builtins

import pytest
from rich.table import Table

from keras_slim.plain_text import printed


class ZMQInteractiveShell:
    """What `get_ipython` returns in a notebook; rich knows it by this name."""


@pytest.fixture
def notebook(monkeypatch):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)


def test_tables_are_text_in_a_notebook_too(notebook):
    table = Table("layer")
    table.add_row("conv")
    assert "conv" in printed(table, "below")
