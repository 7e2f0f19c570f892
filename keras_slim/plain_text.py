"""Tables as plain text: what reports print."""

import io
import shutil

from rich.console import Console, RenderableType
from rich.text import Text


def printed(*parts: RenderableType, width: int = 100) -> str:
    """Returns tables and texts one below the other, as wide as the terminal, without colours.

    Args:
        *parts: Tables of rich; texts as they are, which may hold no markup.
        width: Number of characters in a line where there is no terminal.
    """
    text = io.StringIO()
    columns = shutil.get_terminal_size((width, 24)).columns
    # In a notebook rich would display the tables at once, and return none of them.
    console = Console(file=text, width=columns, color_system=None, highlight=False, force_jupyter=False)
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")
