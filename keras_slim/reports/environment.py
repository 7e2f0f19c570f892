"""What numbers depend on beside the model: versions, and the machine that milliseconds are of."""

import datetime
import importlib.metadata
import os
import platform
import sys

PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "numpy")


def versions() -> dict[str, str]:
    """Returns the versions of what the numbers depend on."""
    return {
        "keras_slim": sys.modules["keras_slim"].__version__,  # the front door stands above this room
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def environment() -> dict[str, str]:
    """Returns the versions, the machine without anybody's name or path, and the day."""
    cores = os.cpu_count() or 1
    return {
        **versions(),
        "processor": f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}",
        "system": f"{platform.system()} on {platform.machine()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor():
    """Returns the name of the processor, as Linux has it; elsewhere what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return next(filter(None, (*names, platform.processor(), platform.machine())), "unknown processor")
