"""The comparison with the peers in words and tables, all of it worked out from what was measured."""

import statistics

from peers_keras import MAIN, PLAIN, TOOL, WHILE_FINE_TUNING, WITHOUT_DATA
from results_file import spread

PEER, SPARSE = "torch-pruning", "TFMOT"
STAGES = {
    "cut": "straight after the cut",
    "fine_tuned": "after fine-tuning",
}


MOST = {WITHOUT_DATA: 1, MAIN: 5}
"""The most processor time that a way of cutting may take, in that of torch-pruning."""
TITLES = {
    WITHOUT_DATA: "without data",
    PLAIN: "with data, without compensation",
    MAIN: "with data and compensation",
}


def note(cells, options):
    """Returns what was done, and what came of it, in Markdown."""
    dense = [cell for cell in cells if (cell["tool"], cell["variant"]) == (TOOL, "dense")]
    difference = max((cell["difference"] for cell in cells if "difference" in cell), default=0.0)
    versions = {name: number for cell in cells for name, number in cell.get("versions", {}).items()}
    fine_tuned = f", and {percent(dense, 'fine_tuned')} % with the epochs of fine-tuning"
    fine_tuning = (
        f"All are fine-tuned on the same batches for {options.fine_tuning_epochs} epochs, with momentum and a rate "
        f"that falls from {options.fine_tuning_rate} to nothing. "
    )
    sparse = "TFMOT sets single weights to zero; its zeros are stored like any weight, and no sparse kernel runs them. "
    if options.cut_only:
        fine_tuned, fine_tuning, sparse = "", "Nothing is fine-tuned. ", ""
    done = (
        f"ResNet-20 (width {options.width}), trained on {options.images:,} images of CIFAR-10 for {options.epochs} "
        f"epochs; {len(dense)} seeds, {options.test:,} test images. Test accuracy of the dense network: "
        f"{percent(dense, 'cut')} %{fine_tuned}. The peers get its very weights: their outputs differ by at most "
        f"{difference:.0e}. {fine_tuning}Cuts that look at data see {options.samples:,} training images. No "
        "side rounds widths. Multiply-accumulates of all sides are counted by the same lines, and are within "
        f"{furthest(cells):.1%} of the target. torch-pruning runs as its authors benchmark it, in small steps until "
        "the target is met; it does not recalibrate batch norm, so that column is done for it by hand, on the same "
        f"images. {sparse}Processor seconds leave out what else the machine did."
    )
    against = (
        "Of each tool the way of cutting that is best on validation images is set against that of the other; "
        "who is ahead is said only where all seeds agree:"
    )
    found = [f"- {finding}" for finding in findings(cells, options.speed_ups)]
    peers = "Versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()) + "."
    return "\n\n".join([done, *([against, "\n".join(found)] if found else []), *([peers] if versions else [])])


def accuracy_tables(cells, speed_ups):
    """Yields a table for each speed-up: what each way of cutting kept, and what it took."""
    stages = {
        "cut": "straight after the cut, %",
        "recalibrated": "batch norm recalibrated by hand, %",
        "fine_tuned": "fine-tuned, %",
    }
    stages = {stage: title for stage, title in stages.items() if any(stage in cell for cell in cells)}
    columns = [
        "tool",
        "ranked by",
        "multiply-accumulates",
        "parameters",
        *stages.values(),
        "seconds to analyse and cut",
        "processor seconds",
    ]
    for speed_up in speed_ups:
        rows = [
            [
                tool,
                variant,
                *(f"{statistics.median(cell[name] for cell in found):,.0f}" for name in ("macs", "parameters")),
                *(percent(found, stage) for stage in stages),
                *(seconds(found, name) for name in ("seconds", "processor_seconds")),
            ]
            for (tool, variant), found in grouped(cells, speed_up).items()
            if tool != SPARSE
        ]
        yield f"{speed_up}x fewer multiply-accumulates, test accuracy", columns, rows


def file_table(cells, speed_ups):
    """Yields the table of equal file sizes, if there is anything to show."""
    columns = ["file", "gzip, bytes", "bytes", "zeros", "straight after the cut, %", "fine-tuned, %", "LiteRT, ms"]
    if not any("gzip_bytes" in cell for cell in cells):
        return
    rows = [file_row("dense", [cell for cell in cells if (cell["tool"], cell["variant"]) == (TOOL, "dense")])]
    for speed_up in speed_ups:
        for (tool, _), found in grouped(cells, speed_up).items():
            if "gzip_bytes" in found[0] and grouped(cells, speed_up, SPARSE):
                size = "" if tool == TOOL else f", as large as {TOOL}"
                rows.append(file_row(f"{tool}{size} at {speed_up}x", found))
    if len(rows) > 1:
        yield "float32 files of equal size after gzip, one thread", columns, rows


def file_row(name, found):
    zeros = [100 * cell["sparsity"] for cell in found if "sparsity" in cell]
    sizes = [f"{statistics.median(cell[size] for cell in found):,.0f}" for size in ("gzip_bytes", "bytes")]
    milliseconds = [cell["milliseconds"] for cell in found if "milliseconds" in cell]
    return [
        name,
        *sizes,
        f"{statistics.median(zeros):.0f} %" if zeros else "",
        percent(found, "cut"),
        percent(found, "fine_tuned"),
        spread(milliseconds) if milliseconds else "",
    ]


def findings(cells, speed_ups):
    """Yields one sentence for each thing compared: who is ahead, by how much, and in how many seeds."""
    for speed_up in speed_ups:
        for stage, when in STAGES.items():
            yield from compared(cells, speed_up, stage, stage, f"At {speed_up}x, {when}")
        title = f"At {speed_up}x, straight after the cut, batch norm of {PEER} recalibrated by hand"
        yield from compared(cells, speed_up, "cut", "recalibrated", title)
        yield from compared_seconds(cells, speed_up)
        yield from compared_sizes(cells, speed_up)
        yield from compared_callbacks(cells, speed_up)


def compared(cells, speed_up, stage, peers_stage, title):
    ours = best(cells, speed_up, TOOL, stage)
    peers = best(cells, speed_up, PEER, peers_stage)
    if not ours or not peers:
        return
    pairs = paired(ours, peers)
    gains = [100 * (one[stage]["test"] - other[peers_stage]["test"]) for one, other in pairs]
    names = [found[0]["variant"] for found in (ours, peers)]
    yield f"{title}: {verdict(gains)} ({names[0]}, against {names[1]})."


def compared_seconds(cells, speed_up):
    """Yields how the processor time of analysing and cutting compares, with data and without, and what was aimed at."""
    for variant, peers in against(cells, speed_up).items():
        ours = grouped(cells, speed_up).get((TOOL, variant), [])
        ratios = [one["processor_seconds"] / other["processor_seconds"] for one, other in paired(ours, peers)]
        if ratios:
            aim = ""
            if variant in MOST:
                is_met = statistics.median(ratios) <= MOST[variant]
                aim = f" The aim is at most {MOST[variant]}: {'met' if is_met else '**missed**'}."
            yield (
                f"At {speed_up}x, {TITLES[variant]}, analysing and cutting takes {TOOL} {spread(ratios, 2)} times the "
                f"processor time of {PEER} ({variant}, against {peers[0]['variant']}).{aim}"
            )


def against(cells, speed_up):
    """Returns by our way of cutting the cells of the peer that its processor time is set against.

    Without data that is the faster of its rankings by magnitude; with data but no compensation, its own ranking by
    data; with compensation, whatever keeps the most accuracy.
    """
    by_variant = grouped(cells, speed_up, PEER).values()
    magnitude = [found for found in by_variant if found[0]["variant"].startswith("magnitude")]
    return {
        WITHOUT_DATA: min(magnitude, key=processor_seconds, default=[]),
        PLAIN: next((found for found in by_variant if found[0]["variant"].startswith("Taylor")), []),
        MAIN: best(cells, speed_up, PEER, "cut"),
    }


def processor_seconds(found):
    return statistics.median(cell["processor_seconds"] for cell in found)


def compared_sizes(cells, speed_up):
    ours = grouped(cells, speed_up).get((TOOL, MAIN))
    for peers in grouped(cells, speed_up, SPARSE).values():
        for stage, when in STAGES.items():
            gains = [100 * (one[stage]["test"] - other[stage]["test"]) for one, other in paired(ours, peers)]
            title = f"Against {SPARSE} at the size of {TOOL} at {speed_up}x, {when}"
            yield f"{title}: {verdict(gains)}."
        timed = [
            (one, other) for one, other in paired(ours, peers) if "milliseconds" in one and "milliseconds" in other
        ]
        if timed:
            ratios = [other["milliseconds"] / one["milliseconds"] for one, other in timed]
            yield f"The file of {SPARSE} takes {spread(ratios, 2)} times as long to run."


def compared_callbacks(cells, speed_up):
    """Yields what cutting while fine-tuning gains over the same cut before it."""
    of_variant = {variant: found for (_, variant), found in grouped(cells, speed_up, TOOL).items()}
    for variant in WHILE_FINE_TUNING:
        pairs = paired(of_variant.get(variant, []), of_variant.get(MAIN, []))
        gains = [100 * (one["fine_tuned"]["test"] - other["fine_tuned"]["test"]) for one, other in pairs]
        if gains:
            yield f"At {speed_up}x, after fine-tuning: {verdict(gains, f'*{variant}*')}, compared with *{MAIN}*."


def verdict(gains, subject=TOOL):
    """Returns whether the subject is ahead by these points: decided only if every seed says the same."""
    if min(gains) <= 0 <= max(gains):
        return f"**undecided**, {subject} differs by {spread(gains, 1)} points"
    text = f"by {spread([abs(each) for each in gains], 1)} points"
    return f"{subject} is **{'ahead' if min(gains) > 0 else 'behind'}** {text}"


def best(cells, speed_up, tool, stage):
    """Returns the cells of a tool's best way of cutting, by validation accuracy at a stage."""
    candidates = [found for found in grouped(cells, speed_up, tool).values() if all(stage in cell for cell in found)]
    return max(candidates, key=lambda found: statistics.mean(cell[stage]["validation"] for cell in found), default=[])


def paired(ours, peers):
    """Returns pairs of cells of the same seed."""
    return [(one, other) for one in ours for other in peers if one["seed"] == other["seed"]]


def grouped(cells, speed_up, tool=None):
    """Returns the cells at a speed-up by tool and variant."""
    found = {}
    for cell in cells:
        if cell.get("speed_up") == speed_up and tool in (None, cell["tool"]):
            found.setdefault((cell["tool"], cell["variant"]), []).append(cell)
    return found


def percent(found, stage):
    values = [100 * cell[stage]["test"] for cell in found if stage in cell]
    return spread(values, 1) if values else ""


def seconds(found, name):
    values = [cell[name] for cell in found if name in cell]
    return spread(values, 1) if values else ""


def furthest(cells):
    """Returns by how much the multiply-accumulates of any cut network differ from their target, as a share."""
    dense = next(cell["macs"] for cell in cells if cell["variant"] == "dense")
    return max(
        abs(cell["macs"] * cell["speed_up"] / dense - 1) for cell in cells if "macs" in cell and "speed_up" in cell
    )
