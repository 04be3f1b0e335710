"""What tests of every kind share: where the project is, and where real recordings are."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["workspace", "browser"]

PROJECT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a worker whole files, and all tests of the one cluster to the same worker, first since they last longest."""
    from xdist.scheduler import LoadScopeScheduling

    class WholeFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::", 1)[0]
            return "tests/slurm" if file.startswith("tests/slurm/") else file

    return WholeFiles(config, log)


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def crema_d() -> Path:
    """The folder with real CREMA-D: AudioWAV and metadata."""
    folder = os.environ.get("SERFLOW_CREMA_D")
    if not folder:
        pytest.skip("SERFLOW_CREMA_D names no folder with real recordings")
    return Path(folder)
