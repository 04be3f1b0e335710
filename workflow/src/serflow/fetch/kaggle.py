"""Download data sets with Kaggle's own client and the user's own credentials, which are never read here."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from serflow.runtime.errors import UserError
from serflow.runtime.progress import progress

_SIGN_IN = (
    "if you are not signed in, make a token on kaggle.com under Settings, API, and save it as ~/.kaggle/access_token "
    "or ~/.kaggle/kaggle.json, readable by you alone"
)


def fetch_from_kaggle(dataset: str, path: Path) -> None:
    """Download the archive of a data set, such as ``"ejlok1/cremad"``, to ``path`` unless that exists.

    The client resumes an incomplete download from the folder beside it.

    Raises
    ------
    UserError
        If the client is missing or fails; with the last line that it printed.
    """
    if path.exists():
        return
    beside = Path(sys.executable).parent
    client = shutil.which("kaggle", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if client is None:
        raise UserError("Kaggle's client is not installed; run: python -m pip install kaggle")
    folder = path.parent / "kaggle"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{dataset.split('/')[1]}.zip"
    command = [client, "datasets", "download", dataset, "--path", str(folder), "--quiet"]
    with tempfile.TemporaryFile("w+", errors="replace") as output, progress(f"kaggle {dataset}") as advance:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as running:
            done = 0
            try:
                while running.poll() is None:
                    size = archive.stat().st_size if archive.exists() else 0
                    advance(size - done)
                    done = size
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        running.wait(0.5)
            finally:
                running.kill()
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if running.returncode or not archive.exists():
        said = lines[-1] if lines else f"the client ended with code {running.returncode}"
        raise UserError(f"{said}; {_SIGN_IN}")
    archive.replace(path)
