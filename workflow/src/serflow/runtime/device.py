"""The device that networks run on: the setting ``device``, or the option ``--device`` of ``predict`` and ``demo``."""

import os

DEVICES = ("auto", "cpu", "gpu")
VARIABLE = "SERFLOW_DEVICE"  # of the environment, as for other libraries: it concerns the process as a whole


def wanted_device() -> str:
    """Return ``auto`` (a GPU if there is one), ``cpu`` or ``gpu``."""
    return os.environ.get(VARIABLE, DEVICES[0])


def missing_gpu(library: str, package: str) -> str:
    """Return the error of a library that finds no GPU though one is asked for."""
    return f"device is gpu, but {library} finds none; install {package} and the GPU's driver, or set device: cpu"
