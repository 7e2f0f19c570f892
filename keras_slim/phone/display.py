"""What the terminal shows meanwhile: the address, a QR code of it, and a table that grows."""

import contextlib
import io

from rich.live import Live
from rich.text import Text

from keras_slim.validation import import_extra

BLACK_ON_WHITE = "#ffffff on #000000"
"""Whatever the terminal's colours: the letters of a code are its white parts, and some phones read no others."""

WAITING = "Waiting for a phone. Ctrl-C ends it."


@contextlib.contextmanager
def shown(server, console):
    """Shows where to find a server, and gives a function that shows what phones have said so far.

    On a terminal that is a table which goes away in the end. Elsewhere it is a line for each piece of news.

    Args:
        server: A `PhoneServer`.
        console: Console of rich; None shows nothing.

    Yields:
        Function of a `PhoneReport`, or None.
    """
    if console is None:
        yield None
        return
    _say_where(server, console)
    if not console.is_terminal:
        yield _Lines(console).watch
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda report: live.update(report.table() if report.phones else Text(WAITING), refresh=True)


def _say_where(server, console):
    console.print(Text(_qr_code(server.url), style=BLACK_ON_WHITE), soft_wrap=True)
    lines = [f"Open on a phone in the same network: {server.url}"]
    if server.fingerprint:
        lines.append(
            "The phone will warn of a certificate it does not know. It was made here, for this address. Its SHA-256 is "
            f"{server.fingerprint}"
        )
    elif server.threads > 1:
        lines.append("Browsers allow one thread to pages by http. For more, serve by https.")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _qr_code(address):
    """Returns a QR code of an address in letters, or how to have one."""
    try:
        segno = import_extra("segno", extra="phone", feature="A QR code in the terminal")
    except ImportError as error:
        return str(error)
    text = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(text, compact=True)
    return text.getvalue()


class _Lines:
    """Prints a line for each piece of news."""

    def __init__(self, console):
        self._console = console
        self._told = set()

    def watch(self, report):
        for phone in report.phones:
            if phone.state != "finished":
                self._tell(f"{phone.name}: {phone.state}")
            for file in phone.files:
                times = f", {file.latency}" if file.latency else ""
                self._tell(f"{phone.name}: {file.name}: {file.verdict}{times}")

    def _tell(self, line):
        if line not in self._told:
            self._told.add(line)
            self._console.print(Text(line), soft_wrap=True)
