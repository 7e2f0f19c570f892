"""What a file changes class by class: how often it is right where the model is, and how often it answers otherwise."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClassChange:
    """The samples of one class, in a file and in the model it stands for.

    Args:
        output: Name of the output.
        label: Number of the class.
        samples: How many samples are of this class.
        model_right: How many of them the model puts in it.
        file_right: How many of them the file puts in it.
        changed: How many of them the file puts in another class than the model does, right or wrong.
    """

    output: str
    label: int
    samples: int
    model_right: int
    file_right: int
    changed: int

    @property
    def model_accuracy(self) -> float:
        """Share of the samples that the model puts in their class."""
        return self.model_right / self.samples

    @property
    def file_accuracy(self) -> float:
        """Share of the samples that the file puts in their class."""
        return self.file_right / self.samples

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values."""
        return dataclasses.asdict(self) | {
            "model_accuracy": self.model_accuracy,
            "file_accuracy": self.file_accuracy,
        }


class ClassCounter:
    """Counts the classes of one output, batch after batch, if it turns out to put samples in classes.

    It does so where targets are numbers of classes or one-hot rows, and answers are rows of scores, whole numbers, or,
    for the classes 0 and 1, single numbers between 0 and 1.

    Args:
        output: Name of the output.
    """

    def __init__(self, output):
        self._output = output
        self._found = []

    def add(self, targets, expected, received):
        """Takes a batch of targets, and of answers of the model and of the file."""
        if self._found is None:
            return
        labels = _labels(np.asarray(targets), expected)
        is_one = labels is not None and _fits(labels, expected)
        self._found = [*self._found, np.stack([labels, _chosen(expected), _chosen(received)])] if is_one else None

    def result(self) -> tuple[ClassChange, ...]:
        """Returns a `ClassChange` for each class that occurs, in order; none if samples are not put in classes."""
        if not self._found:
            return ()
        labels, by_model, by_file = np.concatenate(self._found, axis=1)
        return tuple(
            ClassChange(
                self._output,
                int(label),
                samples=int(np.sum(labels == label)),
                model_right=int(np.sum((labels == label) & (by_model == label))),
                file_right=int(np.sum((labels == label) & (by_file == label))),
                changed=int(np.sum((labels == label) & (by_model != by_file))),
            )
            for label in np.unique(labels)
        )


def _labels(targets, answers):
    """Returns the numbers of the classes, `None` if targets are no classes."""
    if targets.dtype.kind not in "iufb":
        return None
    if targets.ndim == 2 and targets.shape[1] > 1:
        is_one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
        return targets.argmax(axis=1) if is_one_hot and targets.shape == answers.shape else None
    if targets.size != len(targets) or not (targets == np.round(targets)).all():
        return None
    return targets.reshape(-1).astype("int64")


def _fits(labels, answers):
    if answers.ndim == 2 and answers.shape[1] > 1:
        return answers.dtype.kind == "f" and labels.min() >= 0 and labels.max() < answers.shape[1]
    if answers.size != len(answers):
        return False
    return answers.dtype.kind in "iub" or (np.isin(labels, (0, 1)).all() and answers.min() >= 0 and answers.max() <= 1)


def _chosen(answers):
    """Returns the number of the class for each answer."""
    if answers.ndim == 2 and answers.shape[1] > 1:
        return answers.argmax(axis=1)
    answers = answers.reshape(-1)
    return answers.astype("int64") if answers.dtype.kind in "iub" else (answers > 0.5).astype("int64")
