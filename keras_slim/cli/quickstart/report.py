"""The outcome in words, in numbers and in a picture."""

import dataclasses
import json
import os

from keras_slim.cli.files import write_text
from keras_slim.cli.quickstart.training import PRUNING, Training
from keras_slim.reports import Comparison, plot_report
from keras_slim.reports.environment import versions
from keras_slim.whole_files import written_whole

LEAST_REMOVED, MOST_POINTS_LOST = 0.6, 1.0


@dataclasses.dataclass(frozen=True)
class Report:
    """What the quickstart found.

    Args:
        comparison: The table.
        dense: The training without pruning.
        pruned: The training with pruning.
        seed: Seed of both.
        epochs: Epochs of each.
        seconds: Seconds it all took.
        credit: Whose data it was.
    """

    comparison: Comparison
    dense: Training
    pruned: Training
    seed: int
    epochs: int
    seconds: float
    credit: str

    @property
    def removed(self):
        """Share of the multiply-accumulates that is gone."""
        row = self._row("multiply-accumulates")
        return 1 - row.after / row.before

    @property
    def points_lost(self):
        """Test accuracy lost, in points; negative where it was gained."""
        row = self._row("test accuracy")
        return 100 * (row.before - row.after)

    @property
    def kept_promise(self):
        """Whether enough was removed for little enough."""
        return self.removed >= LEAST_REMOVED and self.points_lost <= MOST_POINTS_LOST + 1e-9

    def verdict(self):
        """Returns the outcome in words, and what was compared."""
        row = self._row("test accuracy")
        promise = f"The promise, at least {LEAST_REMOVED:.0%} for at most {MOST_POINTS_LOST:g} point"
        return (
            f"{self.removed:.1%} of the multiply-accumulates are gone; test accuracy went from {row.before:.1%} to "
            f"{row.after:.1%} ({row.change}). {promise}, was {'kept' if self.kept_promise else 'MISSED'}.\n"
            f"Before: the same network, from the same first weights, trained for the same {self.epochs} epochs without "
            f"pruning. Settings were chosen by validation accuracy; the test images were looked at once.\n"
            f"Milliseconds are those of this machine, not of a phone. All in all: {self.seconds:.0f} s."
        )

    def write(self, folder):
        """Writes `report.md`, `report.json` and the picture.

        Args:
            folder: Where to write.

        Returns:
            A line to show.
        """
        write_text(os.path.join(folder, "report.json"), json.dumps(self.to_dict(), indent=1))
        write_text(os.path.join(folder, "report.md"), self.to_markdown(picture=self._draw(folder)))
        return f"Written to {folder}: {', '.join(sorted(os.listdir(folder)))}"

    def to_dict(self):
        """Returns all that was found as plain values."""
        return {
            "command": self.command(),
            "seed": self.seed,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 1),
            "versions": versions(),
            "pruning": PRUNING,
            "removed_macs": self.removed,
            "lost_points_of_test_accuracy": self.points_lost,
            "kept_promise": self.kept_promise,
            "comparison": self.comparison.to_dict(),
            "rounds": [_without_plan(each) for each in self.pruned.rounds_done],
            "history": {"before": self.dense.history, "after": self.pruned.history},
            "credit": self.credit,
        }

    def to_markdown(self, picture):
        """Returns the report in Markdown, with the picture of that name."""
        rounds = "\n".join(
            f"- before epoch {each['epoch'] + 1}: {each['units']:,} units, {each['params']:,} parameters, "
            f"{each['macs']:,} multiply-accumulates left"
            for each in self.pruned.rounds_done
        )
        parts = (
            "# Handwritten digits, pruned inside fit",
            f"`{self.command()}`",
            self.comparison.to_markdown(),
            self.verdict().replace("\n", "\n\n"),
            f"![Widths per layer; accuracy and size over the epochs]({picture})",
            f"Rounds of pruning:\n\n{rounds}",
            f"Made with {', '.join(f'{name} {version}' for name, version in versions().items())}.",
            self.credit,
        )
        return "\n\n".join(parts)

    def command(self):
        """Returns the command that repeats this."""
        return f"keras-slim quickstart --seed {self.seed} --epochs {self.epochs}"

    def _row(self, label):
        return next(row for row in self.comparison.rows if row.label == label)

    def _draw(self, folder):
        """Draws the picture, and returns its name."""
        models, pruned = (self.dense.model, self.pruned.model), self.pruned
        figure = plot_report(*models, pruned.history, pruned.rounds_done, dense_history=self.dense.history)
        with written_whole(os.path.join(folder, "report.png")) as scratch:
            figure.savefig(scratch)
        return "report.png"


def _without_plan(done):
    return {name: value for name, value in done.items() if name != "plan"}
