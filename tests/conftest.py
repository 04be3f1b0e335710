"""What all tests share: the project, real recordings, and the order of the tests."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["workspace", "browser"]

PROJECT = Path(__file__).resolve().parent.parent


# Run by `make test-all` only, beside the tests that are marked so themselves.
EXTENDED = ("tests/faults", "tests/hostile", "tests/slurm")


def pytest_collection_modifyitems(items):
    """Begin with a file that needs the sample run, and run the files that do not need it beside that run."""
    needs_sample = {}
    for item in items:
        needs_sample[item.path] = needs_sample.get(item.path, False) or "sample" in item.fixturenames
        if str(item.path.relative_to(PROJECT)).startswith(EXTENDED):
            item.add_marker(pytest.mark.extended)
    first = next((path for path, needs in needs_sample.items() if needs), None)
    items.sort(key=lambda item: 0 if item.path == first else 1 + needs_sample[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let a worker run whole files, and one worker all tests of the cluster."""
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
