"""The phones that have opened the page: who is at work, who is through, who has gone."""

import dataclasses
import threading
import time

from keras_slim.phone.message import clean
from keras_slim.phone.report import BrowserLatency, FileOnPhone, Phone, PhoneReport

MOST_PHONES = 16
MOST_MESSAGES = 1000
SECONDS_ALIVE = 5.0
"""How often a page at work says that it is still there."""

SILENCE = 20.0
"""Seconds without a word, after which a phone counts as gone."""

# In this order, since each browser's own description of itself also names those it descends from.
_BROWSERS = (
    ("SamsungBrowser/", "Samsung Internet"),
    ("EdgA/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


class NotAccepted(Exception):  # noqa: N818  an answer, not an accident
    """A request that is understood and not carried out; the text says why, for the person at the phone."""


@dataclasses.dataclass
class _Visit:
    name: str
    turn: int
    seen: float
    is_finished: bool = False
    files: list[FileOnPhone] = dataclasses.field(default_factory=list)


class Visits:
    """The phones that have opened the page, for several threads at once.

    Args:
        trials: The `Trial` of each file.
    """

    def __init__(self, trials):
        self._trials = trials
        self._visits: dict[str, _Visit] = {}
        self._messages = 0
        self._changed = threading.Condition()

    @property
    def answer_sizes(self):
        """Bytes of the outputs of each file."""
        return [trial.answer_size for trial in self._trials]

    def join(self, phone, agent):
        """Lets a page begin, or begin anew when it was reloaded, and returns the number of its turn.

        Args:
            phone: Name the page has given itself.
            agent: What its browser says of itself.

        Raises:
            NotAccepted: If there are too many.
        """
        with self._changed:
            before = self._visits.get(phone)
            if before is None and len(self._visits) >= MOST_PHONES:
                raise NotAccepted(f"{MOST_PHONES} phones have opened this page, and no more are let in.")
            name = before.name if before else f"Phone {len(self._visits) + 1}: {describe(agent)}"
            turn = before.turn + 1 if before else 1
            visit = _Visit(name, turn, time.monotonic(), is_finished=not self._trials)
            self._visits[phone] = visit
            self._changed.notify_all()
            return visit.turn

    def hear(self, phone):
        """Notes that a page is still there.

        Raises:
            NotAccepted: If it never joined.
        """
        with self._changed:
            self._visit(phone).seen = time.monotonic()

    def take(self, message):
        """Judges a message, keeps the outcome, and returns it.

        Args:
            message: A `Message`.

        Returns:
            A `FileOnPhone`.

        Raises:
            NotAccepted: If the page was reloaded since, is through already, or too many messages came.
        """
        self._admit(message)
        file = _judge(self._trials[message.file], message)
        with self._changed:
            visit = self._current(message)
            visit.files.append(file)
            visit.seen = time.monotonic()
            visit.is_finished = message.left == 0
            self._changed.notify_all()
        return file

    def report(self):
        """Returns what is known so far, a `PhoneReport`."""
        with self._changed:
            now = time.monotonic()
            return PhoneReport(
                tuple(Phone(visit.name, _state(visit, now), tuple(visit.files)) for visit in self._visits.values())
            )

    def wait_for_change(self, seconds):
        """Waits until something has changed, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def _admit(self, message):
        with self._changed:
            self._current(message)
            self._messages += 1
            if self._messages > MOST_MESSAGES:
                raise NotAccepted(f"More than {MOST_MESSAGES} results have come. Start the measurement anew.")

    def _current(self, message):
        visit = self._visit(message.phone)
        if visit.turn != message.turn:
            raise NotAccepted("This page was opened anew since, and what it began before does not count.")
        if visit.is_finished:
            raise NotAccepted("This page is through with all files already.")
        return visit

    def _visit(self, phone):
        if phone not in self._visits:
            raise NotAccepted("This page is not known here. Open the address anew.")
        return self._visits[phone]


def describe(agent):
    """Returns browser and system out of what a browser says of itself, such as `"Chrome 126 on Android"`."""
    agent = clean(agent)
    browser = next(
        (f"{name} {_version(agent, mark)}".strip() for mark, name in _BROWSERS if mark in agent), "a browser"
    )
    system = next((name for mark, name in _SYSTEMS if mark in agent), "an unknown system")
    return f"{browser} on {system}"


def _version(agent, mark):
    version = agent.partition(mark)[2].partition(".")[0].partition(" ")[0]
    return version if version.isdecimal() and len(version) < 5 else ""


def _state(visit, now):
    if visit.is_finished:
        return "finished"
    return "at work" if now - visit.seen < SILENCE else "gone"


def _judge(trial, message):
    fields = {
        "path": trial.path,
        "name": trial.name,
        "bytes": len(trial.content),
        "quantize": trial.file.quantize,
        "engine": message.engine,
        "threads": message.threads,
        "reference": trial.reference,
        "least_db": trial.least_db,
    }
    if not message.has_answers:
        return FileOnPhone(**fields, error=message.error, skipped="" if message.error else message.skipped)
    latency = BrowserLatency.of_batches(
        message.batches, message.runs, message.first_ms, message.engine, message.threads
    )
    return FileOnPhone(**fields, agreement=trial.judge(message.answers), latency=latency)
