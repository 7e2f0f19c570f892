"""What is in a compressed model, layer by layer: numbers first, a table second."""

import dataclasses

from rich import box
from rich.markup import escape
from rich.table import Table

from keras_slim.plain_text import printed


@dataclasses.dataclass(frozen=True)
class CompressedLayer:
    """The weights of a layer in a compressed model.

    Args:
        name: Name of the layer.
        weights: Number of its weights.
        kept: How many of them are not zero.
        bits: Bits that tell which of the shared values a weight of its largest array has; those of the number itself
            where none are shared; where blocks share vectors, which of these a block has.
        bytes: Bytes they take in the file.
        dense_bytes: Bytes they take in memory.
        block: Weights that a code is for; 1 where no blocks share vectors.
    """

    name: str
    weights: int
    kept: int
    bits: int
    bytes: int
    dense_bytes: int
    block: int = 1


@dataclasses.dataclass(frozen=True)
class CompressionReport:
    """What is in a compressed model; printed, a table that adds up to the file.

    Args:
        path: Path of the file.
        layers: The layers that have weights.
        architecture_bytes: Bytes of the architecture, and of the table of arrays.
        asset_bytes: Bytes of files that layers keep, such as vocabularies.
        hdf5_bytes: Bytes that HDF5 and the digest take.
    """

    path: str
    layers: tuple[CompressedLayer, ...]
    architecture_bytes: int
    asset_bytes: int
    hdf5_bytes: int

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return self.total("bytes") + self.architecture_bytes + self.asset_bytes + self.hdf5_bytes

    @property
    def dense_bytes(self) -> int:
        """Bytes that the weights take in memory."""
        return self.total("dense_bytes")

    @property
    def ratio(self) -> float:
        """How many times smaller the file is, as a whole, than the weights in memory."""
        return self.dense_bytes / self.file_bytes

    def total(self, name: str) -> int:
        """Returns the sum of a number over the layers."""
        return sum(getattr(layer, name) for layer in self.layers)

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        return dataclasses.asdict(self) | {
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
            "file_bytes": self.file_bytes,
            "dense_bytes": self.dense_bytes,
            "ratio": self.ratio,
        }

    def __str__(self) -> str:
        return f"{self.path}\n\n{printed(_table(self))}"


def _table(report):
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("Layer", "File", overflow="fold", ratio=1)
    weights, kept = report.total("weights"), report.total("kept")
    totals = _cells(weights, kept, "", report.file_bytes, report.dense_bytes)
    for heading, total in zip(("Weights", "Kept", "Bits", "Bytes", "Ratio"), totals, strict=True):
        table.add_column(heading, total, justify="right", no_wrap=True)
    for layer in report.layers:
        bits = f"{layer.bits} / {layer.block}" if layer.block > 1 else layer.bits
        cells = _cells(layer.weights, layer.kept, bits, layer.bytes, layer.dense_bytes)
        table.add_row(escape(layer.name), *cells)
    for name, size in (
        ("(architecture)", report.architecture_bytes),
        ("(assets)", report.asset_bytes),
        ("(HDF5 and digest)", report.hdf5_bytes),
    ):
        if size:
            table.add_row(name, "", "", "", f"{size:,}", "")
    return table


def _cells(weights, kept, bits, stored, dense):
    share = f"{kept / weights:.1%}" if weights else ""
    return f"{weights:,}", share, str(bits), f"{stored:,}", f"{dense / stored:.3g}x" if stored else ""
