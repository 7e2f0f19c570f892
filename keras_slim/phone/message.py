"""What the page sends back about one file: a few numbers, and the bytes of the outputs.

A message is four bytes with the length of what follows (little-endian), that much JSON, and the outputs. Whoever has
the address can send anything, so that nothing in it is believed: every number is bounded, every text cut and cleaned.
"""

import dataclasses
import json
import math
import re

ENGINES = ("WebAssembly", "WebGPU")
MOST_JSON = 64 * 2**10
MOST_BATCHES = 1000
MOST_RUNS = 10**7
MOST_MS = 3600e3
MOST_THREADS = 1024
LONGEST_TEXT = 300
PHONE = re.compile("[0-9a-f]{32}")
"""What a page calls itself: random, made anew for each tab."""


@dataclasses.dataclass(frozen=True)
class Message:
    """What a page has sent about one file.

    Args:
        phone: Name the page has given itself.
        turn: Which measurement of this page it belongs to; a page that was reloaded begins a new one.
        file: Place of the file.
        engine: What ran it.
        threads: Number of threads.
        left: Number of messages that are still to come from this page.
        error: What went wrong; empty if there are answers.
        skipped: Why it was not run; empty if it was.
        first_ms: Milliseconds of the first run.
        runs: Number of runs in each batch.
        batches: Milliseconds of each batch.
        answers: Bytes of the outputs.
    """

    phone: str
    turn: int
    file: int
    engine: str
    threads: int
    left: int
    error: str
    skipped: str
    first_ms: float
    runs: int
    batches: tuple[float, ...]
    answers: bytes

    @property
    def has_answers(self):
        """Whether the file ran."""
        return not self.error and not self.skipped


def read_message(body, answer_sizes):
    """Returns the `Message` in a body.

    Args:
        body: The bytes that came.
        answer_sizes: For each file, how many bytes its outputs have.

    Raises:
        ValueError: If it is not what the page sends; the message says what was expected.
    """
    length = int.from_bytes(body[:4], "little")
    if len(body) < 4 or length > min(MOST_JSON, len(body) - 4):
        raise ValueError("Expected four bytes of length, that much JSON, and the outputs.")
    try:
        fields = json.loads(body[4 : 4 + length])
    except (ValueError, RecursionError):
        raise ValueError("Expected JSON after the length.") from None
    if not isinstance(fields, dict):
        raise ValueError("Expected a JSON object.")
    message = Message(
        phone=check_phone(fields.get("phone")),
        turn=_whole(fields, "turn", 1, MOST_RUNS),
        file=_whole(fields, "file", 0, len(answer_sizes) - 1),
        engine=_one_of(fields, "engine", ENGINES),
        threads=_whole(fields, "threads", 1, MOST_THREADS),
        left=_whole(fields, "left", 0, 2 * len(answer_sizes)),
        error=clean(fields.get("error", "")),
        skipped=clean(fields.get("skipped", "")),
        first_ms=_number(fields.get("first_ms", 0.0), "first_ms"),
        runs=_whole(fields, "runs", 1, MOST_RUNS),
        batches=_numbers(fields, "batches"),
        answers=body[4 + length :],
    )
    expected = answer_sizes[message.file] if message.has_answers else 0
    if len(message.answers) != expected:
        raise ValueError(f"Expected {expected} bytes of outputs. Received: {len(message.answers)}.")
    if message.has_answers and not message.batches:
        raise ValueError("Expected the milliseconds of at least one batch.")
    return message


def check_phone(name):
    """Returns the name of a page, or raises `ValueError`."""
    if isinstance(name, str) and PHONE.fullmatch(name):
        return name
    raise ValueError("Expected `phone`, 32 hexadecimal digits.")


def clean(text):
    """Returns a foreign text as one short line that can be printed: no control characters, whatever they would do."""
    if not isinstance(text, str):
        raise ValueError("Expected a text.")
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_TEXT])
    return " ".join(printable.split())[:LONGEST_TEXT]


def _whole(fields, name, least, most):
    value = fields.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise ValueError(f"Expected `{name}`, an integer from {least} to {most}.")


def _number(value, name):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and 0 <= value <= MOST_MS:
        return float(value)
    raise ValueError(f"Expected `{name}`, milliseconds from 0 to {MOST_MS:.0f}.")


def _numbers(fields, name):
    values = fields.get(name, [])
    if isinstance(values, list) and len(values) <= MOST_BATCHES:
        return tuple(_number(value, name) for value in values)
    raise ValueError(f"Expected `{name}`, a list of at most {MOST_BATCHES} numbers.")


def _one_of(fields, name, choices):
    if fields.get(name) in choices:
        return fields[name]
    raise ValueError(f"Expected `{name}`, one of {choices}.")
