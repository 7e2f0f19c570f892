"""The model card of a report: Markdown in the form of those on Hugging Face."""

import re

from keras_slim.reports.comparison import shown


def card(report) -> str:
    """Returns a `ModelReport` as a model card: sizes and quality, files, how it was made, limits, where measured."""
    parts = (
        _front_matter(report),
        f"# {_plain(report.name)}",
        _plain(report.sentence()),
        "A Keras 3 model, made small for phones with `keras_slim`.",
        "## Sizes, quality and speed",
        report.comparison.to_markdown(),
        *_files(report),
        *_steps(report),
        "## Limits",
        "\n".join(f"- {each}" for each in _limits(report)),
        "## Where it was measured",
        "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in report.environment.items()),
    )
    return "\n\n".join(parts)


def _front_matter(report):
    library = "litert" if report.files else "keras"
    return f"---\nlibrary_name: {library}\ntags:\n- keras\n- keras-slim\n- model-compression\n- on-device\n---"


def _files(report):
    if not report.files:
        return ()
    rows = [
        f"| {_plain(file.name)} | {file.side} | {file.precision} | {file.bytes:,} | {file.gzip_bytes:,} | "
        f"{file.latency.median_ms:.3f} |"
        for file in report.files
    ]
    table = "\n".join(
        ("| file | of the model | holds | bytes | after gzip | milliseconds |", "|---|---|---|--:|--:|--:|", *rows)
    )
    return "## Files", table


def _steps(report):
    if not report.steps and report.trajectory is None:
        return ()
    lines = [f"- {_plain(_in_words(step))}" for step in report.steps]
    if report.trajectory is not None:
        points = report.trajectory.points
        lines.append(
            f"- a search over {len(points)} networks; {_plain(report.trajectory.monitor)} must not be worse than "
            f"{report.trajectory.floor:.4g}"
        )
    return "## How it was made", "\n".join(lines)


def _limits(report):
    """Yields what a reader must know before trusting the numbers."""
    if report.quality:
        number = f"{report.samples:,} samples" if report.samples else "a data set"
        yield f"Quality was measured on {number}, once. On other data it is another."
    else:
        yield "Quality was not measured, for want of samples with targets."
    if report.files:
        yield "Milliseconds are those of the machine below with one thread, not of a phone."
    for file in report.files:
        if file.agreement is not None:
            found = file.agreement
            yield f"{_plain(file.name)} answers like its model to {found.sqnr_db:.1f} dB: {_plain(found.verdict)}."
    for whole in report.left:
        yield f"Left as it was: {_plain(str(whole))}."
    yield "What the model is for, and what it was trained on, is not known to this report: say it here."


def _in_words(step):
    return ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in step.items())


def _plain(text):
    """Returns a text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text.replace("\n", " "))
