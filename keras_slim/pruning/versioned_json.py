"""Dataclasses as JSON text with a version, and back."""

import json
from dataclasses import asdict


def write_json(data, version) -> str:
    """Returns a dataclass as JSON text."""
    return json.dumps({"version": version, **asdict(data)}, indent=1)


def read_json(text, version, what, owner, make):
    """Returns what `make` makes of the dictionary in a text that `write_json` wrote.

    Args:
        text: The text.
        version: The version it must have.
        what: What the text should be, for the error message.
        owner: Name of the class that wrote it.
        make: Function from the dictionary to the object. What it misses there is a fault of the text.

    Raises:
        ValueError: If the text is nothing of the kind, or of another version.
    """
    try:
        data = json.loads(text)
        if data["version"] != version:
            raise ValueError(f"version {data['version']!r}")
        return make(data)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"This is not a {what} of version {version}. Expected the text that `{owner}.to_json()` returns. "
            f"Received: {str(text)[:40]!r}... ({error})"
        ) from error
