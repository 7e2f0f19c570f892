"""What phones have said of files: agreement, milliseconds and bytes, as numbers first and a table second."""

import dataclasses
import re

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from keras_slim.errors import ExportError
from keras_slim.export.agreement import Agreement
from keras_slim.plain_text import printed

COMPARABLE = "Times are those in the browser: an app with the native runtime is two to five times faster."


@dataclasses.dataclass(frozen=True)
class BrowserLatency:
    """Times of one inference in a phone's browser, in milliseconds.

    Its clock is coarse, so that short runs are timed in batches of at least five milliseconds, and what is known of a
    batch is the mean of its runs.

    Args:
        median_ms: Half of the batches were faster.
        p90_ms: Nine in ten batches were faster.
        first_ms: The first run after loading.
        runs: Number of timed runs.
        batches: Number of batches they were timed in.
        engine: What ran it, `"WebAssembly"` or `"WebGPU"`.
        threads: Number of threads of WebAssembly.
    """

    median_ms: float
    p90_ms: float
    first_ms: float
    runs: int
    batches: int
    engine: str
    threads: int

    @classmethod
    def of_batches(cls, milliseconds, runs_each, first_ms, engine, threads) -> "BrowserLatency":
        """Returns the latency of batches of equally many runs.

        Args:
            milliseconds: What each batch took, as a whole.
            runs_each: Number of runs in each.
            first_ms: The first run.
            engine: What ran it.
            threads: Number of threads.
        """
        median, p90 = np.percentile(np.asarray(milliseconds, "float64") / runs_each, (50, 90))
        count = len(milliseconds)
        return cls(float(median), float(p90), float(first_ms), count * runs_each, count, engine, threads)

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.median_ms:.3f} ms median, 90 % under {self.p90_ms:.3f}, first {self.first_ms:.3f} "
            f"({self.runs} runs, in the browser, {engine_label(self.engine, self.threads)})"
        )


@dataclasses.dataclass(frozen=True)
class FileOnPhone:
    """One file on one phone.

    Args:
        path: Path of the file on this computer.
        name: What tells it from the others: the end of its path.
        bytes: Its size.
        quantize: What it holds: None for float32, `"float16"`, `"dynamic"` or `"int8"`.
        engine: What ran it, `"WebAssembly"` or `"WebGPU"`.
        threads: Number of threads of WebAssembly.
        reference: Whose answers were taken for right: `"Keras"`, or `"LiteRT here"` for those of this computer.
        least_db: Least agreement with them that was asked for, in decibels.
        agreement: The phone's answers beside them; None where it gave none.
        latency: The times; None where there are none.
        error: What the phone's browser said in place of answers; empty if it answered.
        skipped: Why it was not run there, though nothing is wrong; empty if it was.
    """

    path: str
    name: str
    bytes: int
    quantize: str | None
    engine: str
    threads: int
    reference: str
    least_db: float
    agreement: Agreement | None = None
    latency: BrowserLatency | None = None
    error: str = ""
    skipped: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the phone's answers are the right ones, or nobody asked it for any."""
        if self.skipped:
            return True
        return self.agreement is not None and all(output.is_within(self.least_db) for output in self.agreement.outputs)

    @property
    def verdict(self) -> str:
        """The outcome in a few words."""
        if self.skipped:
            return "not run"
        if self.agreement is None:
            return "failed"
        return f"{'agrees' if self.agrees else 'does NOT agree'} with {self.reference}"

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = {name: getattr(self, name) and getattr(self, name).to_dict() for name in ("agreement", "latency")}
        return plain | parts | {"agrees": self.agrees}

    def rows(self) -> list[tuple[str, str]]:
        """Returns what the page shows, pairs of a label and a value."""
        rows = [("runs on", engine_label(self.engine, self.threads)), ("size", f"{self.bytes:,} bytes")]
        if self.agreement is not None:
            agreement = self.agreement
            rows.append(("agreement", f"{agreement.sqnr_db:.1f} dB on {agreement.samples} samples"))
            rows.append(("worst error", f"{agreement.max_abs_error:.3g} ({agreement.relative_error:.2%})"))
            if agreement.same_class is not None:
                rows.append(("same class", f"{agreement.same_class:.1%}"))
        if self.latency is not None:
            rows.append(("median", f"{self.latency.median_ms:.3f} ms"))
            rows.append(("90 % under", f"{self.latency.p90_ms:.3f} ms"))
            rows.append(("first run", f"{self.latency.first_ms:.3f} ms"))
        rows += [(label, text) for label, text in (("error", self.error), ("reason", self.skipped)) if text]
        return rows


@dataclasses.dataclass(frozen=True)
class Phone:
    """One phone, and what it has said.

    Args:
        name: Browser and system, as it calls itself.
        state: `"at work"`, `"finished"`, or `"gone"` when nothing has been heard of it for a while.
        files: A `FileOnPhone` for each file, and for each engine that ran it, in the order in which they came.
    """

    name: str
    state: str
    files: tuple[FileOnPhone, ...]

    @property
    def agrees(self) -> bool:
        """Whether it is through with all files, and all its answers are the right ones."""
        return self.state == "finished" and all(file.agrees for file in self.files)

    def to_dict(self) -> dict:
        """Returns everything as plain Python values."""
        return {"name": self.name, "state": self.state, "files": [file.to_dict() for file in self.files]}


@dataclasses.dataclass(frozen=True)
class PhoneReport:
    """What phones have said of files.

    Args:
        phones: One `Phone` for each that opened the page.
    """

    phones: tuple[Phone, ...]

    @property
    def finished(self) -> tuple[Phone, ...]:
        """The phones that are through with all files."""
        return tuple(phone for phone in self.phones if phone.state == "finished")

    def check(self) -> "PhoneReport":
        """Returns itself, or raises `ExportError` naming the files that failed or do not answer as they should."""
        wrong = [(phone, file) for phone in self.phones for file in phone.files if not file.agrees]
        if not wrong:
            return self
        listed = "; ".join(f"{file.name} on {phone.name}: {_complaint(file)}" for phone, file in wrong)
        raise ExportError(
            f"Not every phone answers as it should. {listed}. Compare with `slim.verify_tflite` here: if that agrees, "
            "the browser's runtime is at fault."
        )

    def to_dict(self) -> dict:
        """Returns everything as plain Python values, as JSON can hold them."""
        return {"phones": [phone.to_dict() for phone in self.phones]}

    def table(self) -> Group:
        """Returns a table for each phone, for a terminal."""
        return Group(*(_table(phone) for phone in self.phones))

    def __str__(self) -> str:
        if not self.phones:
            return "No phone has opened the page."
        return f"{printed(self.table(), width=110)}\n\n{COMPARABLE}"


def engine_label(engine, threads):
    """Returns what ran a file, as people read it."""
    if engine != "WebAssembly":
        return engine
    return "WebAssembly, 1 thread" if threads == 1 else f"WebAssembly, {threads} threads"


def _table(phone):
    # What a phone says of itself is put in as plain text: it cannot colour or move anything in the terminal.
    title = Text(f"{phone.name}, {phone.state}")
    narrow = {"collapse_padding": True, "pad_edge": False}  # for a terminal of 80 columns
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", **narrow)
    table.add_column("File", overflow="fold", min_width=len(engine_label("WebAssembly", 1)))
    for heading in ("Bytes", "Outcome", "dB", "Same\nclass", "Median\nms", "90 %\nms", "First\nms"):
        table.add_column(heading, justify="left" if heading == "Outcome" else "right")
    for file in phone.files:
        table.add_row(*map(Text, _cells(file)))
    return table


def _cells(file):
    agreement, latency = file.agreement, file.latency
    same_class = None if agreement is None else agreement.same_class
    times = () if latency is None else (latency.median_ms, latency.p90_ms, latency.first_ms)
    return (
        f"{file.name}\n{engine_label(file.engine, file.threads)}",
        f"{file.bytes:,}",
        ": ".join(filter(None, (re.sub(" (agree|with) ", r"\n\1 ", file.verdict), file.error or file.skipped))),
        f"{agreement.sqnr_db:.1f}" if agreement else "",
        "" if same_class is None else f"{same_class:.1%}",
        *(f"{number:.3f}" for number in times),
    )


def _complaint(file):
    if file.agreement is None:
        return file.error
    agreement = file.agreement
    return (
        f"{agreement.sqnr_db:.1f} dB with {file.reference} where at least {file.least_db:g} is expected, its largest "
        f"error is {agreement.max_abs_error:.3g}"
    )
