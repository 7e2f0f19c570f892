"""Fetches what `tox -e browser` needs: Chromium, as Debian packages it, and the runtime for browsers.

Where that is not possible it says why, and the tests are skipped for the same reason. Run as root it installs Chromium,
as on a machine for continuous integration; else it says how.
"""

import os
import shutil
import subprocess

from keras_slim.errors import ExportError
from keras_slim.phone.runtime import Runtime

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BY_HAND = "Install it with: sudo apt-get install chromium"
MOST_SECONDS = 180
"""How long a step of the installation may take: without a network some wait forever."""


def find_chromium():
    """Returns the path of Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install_chromium():
    """Installs Chromium where that is possible, and returns in a sentence how it went."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"There is no Chromium here. {BY_HAND}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": environment, "timeout": MOST_SECONDS}
    apt = ["apt-get", "-qq", "--option=Acquire::http::Timeout=20", "--option=Acquire::Retries=1"]
    try:
        subprocess.run([*apt, "update"], **quiet)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", "chromium"], **quiet)
    except (subprocess.SubprocessError, OSError) as error:
        return f"Chromium cannot be installed: {error}. {BY_HAND}"
    return "Chromium is installed."


if __name__ == "__main__":
    print(find_chromium() or install_chromium())
    try:
        Runtime()
        print("The runtime for browsers is there.")
    except ExportError as error:
        print(error)
