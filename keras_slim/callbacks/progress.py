"""How far a pruning has come in a `fit`."""

from dataclasses import asdict, dataclass, field

from keras_slim.pruning.costs import Cost
from keras_slim.pruning.plan import PruningPlan
from keras_slim.pruning.snapshot import Snapshot

NOTHING = Cost(0, 0, 0)


@dataclass
class Progress:
    """How far a pruning has come.

    Args:
        original: Cost of the network before the first cut.
        cost: Cost of the network now.
        epochs: The epochs in which it cuts, or in a search, the first and the last; `None` before the first of `fit`.
        rounds_done: One dictionary per round, its plan among it.
        path: Which of the rounds have led to the network as it is now; those that a search took back are not among
            them.
        of: What the ratio is a share of, as `Cost.amount` takes it.
    """

    original: Cost = NOTHING
    cost: Cost = NOTHING
    epochs: list[int] | None = None
    rounds_done: list[dict] = field(default_factory=list)
    path: list[int] = field(default_factory=list)
    of: str = "units"

    @property
    def total(self) -> float:
        """What the ratio is a share of, before the first cut."""
        return self.original.amount(self.of)

    @property
    def left(self) -> float:
        """What is left of it now."""
        return self.cost.amount(self.of)

    @property
    def plans(self) -> list[PruningPlan]:
        """The cuts that lead from the dense network to the present one."""
        return [self.rounds_done[place]["plan"] for place in self.path]

    def add(self, done: dict, cost: Cost) -> None:
        """Takes a round that has been made from the present network, and what the network costs after it."""
        self.path.append(len(self.rounds_done))
        self.rounds_done.append(done)
        self.cost = cost

    def go_back(self, kept: "Kept") -> None:
        """Takes back the rounds after a network that was kept."""
        self.cost = kept.cost
        del self.path[kept.cuts :]

    def to_dict(self) -> dict:
        """Returns all but `of` as plain values."""
        rounds = [{**each, "plan": each["plan"].to_json()} for each in self.rounds_done]
        return {
            "original": asdict(self.original),
            "cost": asdict(self.cost),
            "epochs": self.epochs,
            "rounds_done": rounds,
            "path": self.path,
        }

    @classmethod
    def from_dict(cls, data: dict, of: str = "units") -> "Progress":
        """Returns what `to_dict` described."""
        rounds = [{**each, "plan": PruningPlan.from_json(each["plan"])} for each in data["rounds_done"]]
        costs = {name: Cost(**data[name]) for name in ("original", "cost")}
        return cls(**{**data, **costs, "rounds_done": rounds}, of=of)


@dataclass(frozen=True)
class Kept:
    """The last network that held the metric of a search.

    Args:
        number: How many were kept before it.
        cuts: Number of cuts that lead to it from the dense network.
        cost: Its cost.
        snapshot: What brings it back.
    """

    number: int
    cuts: int
    cost: Cost
    snapshot: Snapshot

    def to_dict(self) -> dict:
        """Returns all but the snapshot as plain values."""
        return {"number": self.number, "cuts": self.cuts, "cost": asdict(self.cost)}

    @classmethod
    def from_dict(cls, data: dict, snapshot: Snapshot) -> "Kept":
        """Returns what `to_dict` described."""
        return cls(data["number"], data["cuts"], Cost(**data["cost"]), snapshot)
