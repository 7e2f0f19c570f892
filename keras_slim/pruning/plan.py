"""The pruning plan: which units of each group are kept. Data, and nothing else."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_slim.drawing import MOST_ROWS, add_legend, draw_before_and_after, height_of, new_figure, tell_hidden
from keras_slim.errors import PlanMismatchError
from keras_slim.graph.channel_graph import ChannelGraph, Whole
from keras_slim.pruning.costs import Cost, describe_change
from keras_slim.pruning.versioned_json import read_json, write_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class GroupPlan:
    """What becomes of one group.

    Args:
        name: Name of the group.
        layers: Names of the layers that compute its units.
        size: Number of its units.
        kept_channels: Positions, within the group, of the units that are kept, ascending.
        tied_by: Names of the layers and operations where units of different layers meet.
    """

    name: str
    layers: tuple[str, ...]
    size: int
    kept_channels: tuple[int, ...]
    tied_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class PruningPlan:
    """Which units of a model are kept.

    `plan_pruning` makes it, `shrink` carries it out.

    A plan is plain data: it survives JSON, and fits every model of the same architecture.

    Args:
        groups: One entry per group of units.
        whole: What is left as it is, and why.
        before: Cost of the model.
        after: Cost of the model that the plan leads to.
        settings: How the plan was made.
    """

    groups: tuple[GroupPlan, ...]
    whole: tuple[Whole, ...]
    before: Cost
    after: Cost
    settings: dict = field(default_factory=dict)

    def keep(self, graph: ChannelGraph) -> np.ndarray:
        """Returns whether each unit of a model is kept, a boolean array of shape `(graph.num_units,)`.

        Raises:
            PlanMismatchError: If the model's groups are not those of the plan.
        """
        planned = {group.name: group.size for group in self.groups}
        left_whole = {name for whole in self.whole for name in whole.layers}
        found = {
            group.name: group.size for group in graph.groups if group.name in planned or group.name not in left_whole
        }
        if planned != found:
            differing = sorted(planned.items() ^ found.items())
            raise PlanMismatchError(
                f"The plan does not fit model '{graph.model.name}'. Expected the groups it was made for; these "
                f"differ (name, units): {differing}. Make a new plan with `plan_pruning(model, ...)`."
            )
        first = {group.name: group.first for group in graph.groups}
        keep = np.ones(graph.num_units, bool)
        for group in self.groups:
            keep[first[group.name] : first[group.name] + group.size] = False
            keep[first[group.name] + np.asarray(group.kept_channels, int)] = True
        return keep

    def describe(self) -> str:
        """Returns the plan in words: each group, the layers tied in it, what is kept; and what is left whole."""
        if not self.groups:
            lines = ["Nothing in this model can be pruned."]
        else:
            lines = [describe_change(self.before, self.after), "Groups (units kept of all):"]
            lines += [_describe_group(group) for group in self.groups]
        if self.whole:
            lines += ["Left whole:", *(f"  {whole}" for whole in self.whole)]
        if "opened" in self.settings:
            names = ", ".join(f"'{name}'" for name in self.settings["opened"])
            blocks = f", with models of their layers in the place of {names}" if names else ""
            lines.append(f"The result is a plain functional model{blocks}.")
        if any("has no rule" in reason for whole in self.whole for reason in whole.reasons):
            lines.append("To give a layer a rule: `keras_slim.graph.register_rule`, as in docs/custom-layers.md.")
        return "\n".join(lines)

    def plot(self, *, figure: Any = None) -> Any:
        """Draws how many units each group has, and how many it keeps.

        Args:
            figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ValueError: If nothing in the model can be pruned.
        """
        if not self.groups:
            raise ValueError(f"There is nothing to draw. {self.describe()}")
        largest = sorted(self.groups, key=lambda group: -group.size)[:MOST_ROWS]
        groups = [group for group in self.groups if group in largest]
        figure = figure or new_figure(6, height_of(len(groups)))
        axes = figure.subplots()
        kept = [len(group.kept_channels) for group in groups]
        sizes = [group.size for group in groups]
        draw_before_and_after(axes, [_title(group) for group in groups], sizes, kept, unit="units")
        tell_hidden(figure, len(self.groups) - len(groups), "groups")
        axes.set_title("Units per group", loc="left")
        add_legend(axes)
        return figure

    def to_json(self) -> str:
        """Returns the plan as JSON text."""
        return write_json(self, FORMAT_VERSION)

    @classmethod
    def from_json(cls, text: str) -> "PruningPlan":
        """Returns the plan that `to_json` wrote.

        Raises:
            ValueError: If the text is no such plan, or of another version.
        """

        def make(data):
            return cls(
                groups=tuple(_group_from(group) for group in data["groups"]),
                whole=tuple(Whole(tuple(each["layers"]), tuple(each["reasons"])) for each in data["whole"]),
                before=Cost(**data["before"]),
                after=Cost(**data["after"]),
                settings=data["settings"],
            )

        return read_json(text, FORMAT_VERSION, "pruning plan", "PruningPlan", make)


def _group_from(data):
    """Returns a group from its JSON form, or raises `ValueError` if its channels make no sense."""
    kept = tuple(int(channel) for channel in data["kept_channels"])
    if not kept or list(kept) != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= data["size"]:
        raise ValueError(f"kept_channels of group {data['name']!r} are not ascending positions below {data['size']}")
    return GroupPlan(data["name"], tuple(data["layers"]), data["size"], kept, tuple(data["tied_by"]))


def _title(group):
    tied = len(group.layers) - 1
    return f"{group.name} and {tied} tied" if tied else group.name


def _describe_group(group):
    tied = "" if len(group.layers) == 1 else f"  tied: {', '.join(group.layers)} (by {', '.join(group.tied_by)})"
    return f"  {group.name}: {len(group.kept_channels)} of {group.size}{tied}"
