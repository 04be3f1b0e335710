"""Kaggle's own client, which fetches with the user's own credentials; they are never read here."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from serflow.runtime.errors import UserError
from serflow.runtime.progress import Progress

_INSTALL = "Kaggle's client is not installed; run: python -m pip install kaggle"
_CREDENTIALS = (
    "no credentials were found: make a token on kaggle.com under Settings, API, and save it as ~/.kaggle/access_token, "
    "or as ~/.kaggle/kaggle.json, readable by you alone"
)
_POLL = 0.5  # seconds


def fetch_from_kaggle(dataset: str, path: Path) -> None:
    """Fetch the archive of a data set.

    Parameters
    ----------
    dataset
        Owner and name, such as ``"ejlok1/cremad"``.
    path
        Where to put the archive; below the folder beside it the client keeps what it has got, and goes on with that.

    Raises
    ------
    UserError
        If the client is missing or fails, with its last words.
    """
    if path.exists():
        return
    beside = Path(sys.executable).parent
    client = shutil.which("kaggle", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if client is None:
        raise UserError(_INSTALL)
    folder = path.parent / "kaggle"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{dataset.split('/')[1]}.zip"
    command = [client, "datasets", "download", dataset, "--path", str(folder), "--quiet"]
    try:
        code, words = _run(command, archive, f"kaggle {dataset}")
    except OSError as error:
        raise UserError(f"{client}: {error.strerror}; {_INSTALL}") from error
    if code or not archive.exists():
        missing = "" if _has_credentials() else f"; {_CREDENTIALS}"
        raise UserError(f"{words or f'the client ended with code {code}'}{missing}")
    archive.replace(path)


def _run(command: list[str], archive: Path, what: str) -> tuple[int, str]:
    """Run the client and show how far it is; give its exit code and last words."""
    progress = Progress(what)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as running:
            try:
                while running.poll() is None:
                    progress.update(archive.stat().st_size if archive.exists() else 0, None)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        running.wait(_POLL)
            finally:
                running.kill()
                progress.close()
        said.seek(0)
        words = [line.strip() for line in said if line.strip()]
    return running.returncode, words[-1] if words else ""


def _has_credentials() -> bool:
    if os.environ.get("KAGGLE_API_TOKEN") or (os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")):
        return True
    configured = os.environ.get("KAGGLE_CONFIG_DIR")
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folders = [Path(configured)] if configured else [Path.home() / ".kaggle", base / "kaggle"]
    return any((folder / name).is_file() for folder in folders for name in ("access_token", "kaggle.json"))
