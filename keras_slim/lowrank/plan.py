"""The factorization plan: which layers become products, and of what ranks. Data, and nothing else."""

from dataclasses import dataclass, field

from keras_slim.errors import PlanMismatchError
from keras_slim.factorization import SmallerHeads
from keras_slim.pruning.costs import Amounts, describe_change
from keras_slim.pruning.versioned_json import read_json, write_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class LayerFactors:
    """What becomes of one layer.

    Args:
        path: Its name, after those of the models around it: `"encoder/dense"`.
        scheme: Name of the scheme, such as `"channel"`, `"tucker"` or `"attention"`.
        shape: Shape of its kernel; of attention, that of its `keras_slim.factorization.Heads`.
        ranks: Ranks of its factors, from the inputs to the outputs.
        lost: Share of the response's sum of squares that is expected to be lost.
    """

    path: str
    scheme: str
    shape: tuple[int, ...]
    ranks: tuple[int, ...]
    lost: float

    def widths(self) -> str:
        """Returns in words how wide it is from the inputs to the outputs; of attention, how wide heads become."""
        if self.scheme == SmallerHeads.name:
            *_, key_dim, value_dim, _ = self.shape
            return ", ".join(f"{old} -> {new}" for old, new in zip((key_dim, value_dim), self.ranks, strict=False))
        *_, inputs, outputs = self.shape
        return " -> ".join(map(str, (inputs, *self.ranks, outputs)))


@dataclass(frozen=True)
class LeftWhole:
    """A layer that stays as it is.

    Args:
        path: Its name, after those of the models around it.
        reason: Why, a phrase.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Size(Amounts):
    """What a model costs.

    Args:
        params: Number of parameters.
        macs: Multiply-accumulates for one sample; `None` where there are dimensions of unknown size.
        bytes: Size of the exported file; `None` where it was not asked for.
        latency: Milliseconds of the exported file for one sample, on this machine; `None` where it was not asked for.
        other: What measures of the user's own have found, by their aliases.
    """

    params: int
    macs: int | None
    bytes: int | None = None
    latency: float | None = None
    other: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FactorizationPlan:
    """Which layers of a model become products of smaller ones.

    `plan_factorization` makes it, `factorize` carries it out. A plan is plain data: it survives JSON, and fits every
    model of the same architecture.

    Args:
        layers: One entry per layer that becomes a product.
        whole: The other layers with kernels, and why.
        before: What the model costs.
        after: What the model costs that the plan leads to.
        settings: How the plan was made.
    """

    layers: tuple[LayerFactors, ...]
    whole: tuple[LeftWhole, ...]
    before: Size
    after: Size
    settings: dict = field(default_factory=dict)

    def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Raises `PlanMismatchError` if kernels are not those of the plan.

        Args:
            shapes: Shapes of the kernels of a model that can be written as products, by path.
        """
        wrong = sorted((each.path, each.shape) for each in self.layers if shapes.get(each.path) != each.shape)
        if wrong:
            raise PlanMismatchError(
                "The plan does not fit the model. Expected the layers it was made for; these are missing or have other "
                f"kernels (path, shape): {wrong}. Make a new plan with `plan_factorization(model, ...)`."
            )

    def describe(self) -> str:
        """Returns the plan in words: what is saved, each layer with its ranks, and what is left whole and why."""
        lines = [describe_change(self.before, self.after)]
        if "metric" in self.settings:
            lines.append(_describe_metric(**self.settings["metric"]))
        lines += ["Layers as products (scheme, ranks, share of the response lost):"] if self.layers else []
        for each in self.layers:
            lines.append(f"  {each.path}: {each.scheme} {each.widths()}, {each.lost:.1%}")
        if self.whole:
            lines += ["Left whole:", *(f"  {each.path}: {each.reason}" for each in self.whole)]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Returns the plan as JSON text."""
        return write_json(self, FORMAT_VERSION)

    @classmethod
    def from_json(cls, text: str) -> "FactorizationPlan":
        """Returns the plan that `to_json` wrote.

        Raises:
            ValueError: If the text is no such plan, or of another version.
        """

        def make(data):
            layers = (each | {"shape": tuple(each["shape"]), "ranks": tuple(each["ranks"])} for each in data["layers"])
            return cls(
                layers=tuple(LayerFactors(**each) for each in layers),
                whole=tuple(LeftWhole(**each) for each in data["whole"]),
                before=Size(**data["before"]),
                after=Size(**data["after"]),
                settings=data["settings"],
            )

        return read_json(text, FORMAT_VERSION, "factorization plan", "FactorizationPlan", make)


def _describe_metric(name, before, after, max_drop, samples, tries):
    """Returns what a search has found in words, e.g. "accuracy 0.98 -> 0.973 on 256 samples (max_drop=0.01)"."""
    return f"{name} {before:.4g} -> {after:.4g} on {samples:,} samples (max_drop={max_drop:g}, {len(tries)} tries)"
