"""The code, packages and machine that results are made with."""

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from serflow import __version__

_PACKAGES = ("numpy", "scipy", "scikit-learn", "tensorflow-cpu", "tensorflow", "keras", "soundfile", "soxr", "pyarrow")
_PACKAGES += ("pandas", "librosa", "opensmile", "matplotlib", "altair", "vl-convert-python", "Jinja2", "snakemake")
_ROOT = Path(__file__).resolve().parents[4]


def describe_code() -> dict:
    """Return the version of serflow, and the commit and whether files differ from it (None outside a checkout)."""
    version = {"version": __version__, "commit": None, "changed": None}
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != _ROOT:
            return version
        return version | {
            "commit": _git("rev-parse", "HEAD"),
            "changed": bool(_git("status", "--porcelain", "-uno")),
        }
    except (OSError, subprocess.CalledProcessError):
        return version


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def describe_packages() -> dict[str, str]:
    """Return the versions of the packages that results depend on, if they are installed."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def describe_hardware() -> dict:
    """Return the machine, system, processor, number of cores and memory in bytes (None if unknown)."""
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
    }


def _processor() -> str | None:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None
