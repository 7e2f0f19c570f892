"""All that is known of a model and its smaller self: data first, then a table, a page or a model card."""

import dataclasses
import json
import os
from typing import Any

from keras_slim.errors import invalid_argument
from keras_slim.export.agreement import Agreement
from keras_slim.export.latency import Latency
from keras_slim.graph.channel_graph import Whole
from keras_slim.plain_text import printed
from keras_slim.plain_values import finite
from keras_slim.pruning import Trajectory
from keras_slim.reports.card import card
from keras_slim.reports.comparison import Comparison, ComparisonRow
from keras_slim.reports.kernel_values import KernelValues
from keras_slim.reports.page import page
from keras_slim.rewriting.description import ModelDescription
from keras_slim.validation import check_writable
from keras_slim.whole_files import written_whole

ZEROS = "zeros in kernels"


@dataclasses.dataclass(frozen=True)
class LayerWidth:
    """How many units a layer has.

    Args:
        name: Name of the layer.
        before: Its filters or units before; None where there was no such layer.
        after: Those that it has left; None where it is gone.
    """

    name: str
    before: int | None
    after: int | None


@dataclasses.dataclass(frozen=True)
class FileReport:
    """A LiteRT file beside the model it was made from.

    Args:
        name: Name of the file, without its folder.
        side: `"before"` or `"after"`: which of the models it was made from.
        quantize: What it holds: None for float32, `"float16"`, `"dynamic"` or `"int8"`.
        bytes: Its size.
        gzip_bytes: Its size when compressed, as it travels to the phone.
        latency: Milliseconds for one sample on this machine.
        metrics: Its metrics by name; empty without targets.
        agreement: How far its answers are from those of the model; None without samples.
    """

    name: str
    side: str
    quantize: str | None
    bytes: int
    gzip_bytes: int
    latency: Latency
    metrics: dict[str, float]
    agreement: Agreement | None

    @property
    def precision(self) -> str:
        """What it holds, in a word."""
        return self.quantize or "float32"

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain values that JSON can hold."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        agreement = self.agreement.to_dict() if self.agreement else None
        return plain | {"latency": self.latency.to_dict(), "agreement": agreement}


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """A model and its smaller self, as data. Its text is a table.

    `write` makes a page or a model card of it.

    Args:
        name: Name of the smaller model.
        comparison: Sizes, quality and speed, before and after.
        widths: Units of each layer that says how many it has.
        files: The LiteRT files.
        samples: Number of samples that quality was measured on; None without data.
        weights: The values of each kernel of the smaller model.
        left: What was left whole or real, and why.
        steps: How it was made: a dictionary for each step, such as a plan or a round of pruning.
        trajectory: The networks that a search tried; None where there was none.
        description: Which layers round, to how many bits; None where nobody asked.
        environment: Versions, the processor, the day.
    """

    name: str
    comparison: Comparison
    widths: tuple[LayerWidth, ...]
    files: tuple[FileReport, ...]
    samples: int | None
    weights: tuple[KernelValues, ...]
    left: tuple[Whole, ...]
    steps: tuple[dict[str, Any], ...]
    trajectory: Trajectory | None
    description: ModelDescription | None
    environment: dict[str, str]

    @property
    def quality(self) -> tuple[ComparisonRow, ...]:
        """The rows of the comparison that are metrics."""
        return tuple(row for row in self.comparison.rows if row.unit in ("share", "number") and row.label != ZEROS)

    def sentence(self) -> str:
        """Returns what was won, in a sentence or two: sizes, and the first metric."""
        sizes = [row for row in self.comparison.rows if row.unit in ("count", "bytes")]
        changes = [row for row in sizes if row.change.strip("+-") not in ("", "0.0%")]
        told = _capital(", ".join(f"{row.label} {row.change}" for row in changes[:3]) or "no size has changed")
        if not self.quality:
            return f"{told}."
        label, before, after, change = self.quality[0].cells()
        return f"{told}. {_capital(label)} went from {before} to {after} ({change})."

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values that JSON can hold."""
        plain = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return plain | {"files": [file.to_dict() for file in self.files]}

    def to_json(self) -> str:
        """Returns everything as JSON text; null stands for what is infinite or not a number."""
        return json.dumps(finite(self.to_dict()), indent=1, allow_nan=False)

    def to_html(self) -> str:
        """Returns the page: one file with its pictures in it, which asks nothing of any network."""
        return page(self)

    def to_markdown(self) -> str:
        """Returns a model card, in the form of those on Hugging Face."""
        return card(self)

    def write(self, path: str | os.PathLike) -> None:
        """Writes the report to a file, whole or not at all.

        Args:
            path: Path that ends with `.html` for the page, `.md` for the model card, or `.json` for the data.

        Raises:
            ValueError: If it ends otherwise, or no file can be written there.
        """
        path = check_path(path, "write")
        ending = os.path.splitext(path)[1]
        text = {".html": self.to_html, ".md": self.to_markdown, ".json": self.to_json}[ending]()
        with written_whole(path, "write") as scratch, open(scratch, "w", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")

    def __str__(self) -> str:
        return printed(self.comparison.__rich__(), *(f"Left as it was: {whole}." for whole in self.left))


def check_path(path, owner):
    """Returns the path of a report, or raises `ValueError` before any work is done."""
    path = os.fspath(path)
    if not path.endswith((".html", ".md", ".json")):
        expected = "a path that ends with .html (the page), .md (the model card) or .json (the data)"
        raise ValueError(invalid_argument("path", owner, expected=expected, received=path))
    return check_writable(path, "path", owner)


def _capital(text):
    return text[:1].upper() + text[1:]


def _plain(value):
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
