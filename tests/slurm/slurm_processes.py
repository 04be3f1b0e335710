"""Start processes that outlive this one, and end only what was started here.

A process id alone proves nothing: the kernel reuses it. A record therefore holds the id together with the process's
start time, and a process counts as ours only while both agree.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Clock tick at which `pid` started, or None when it is gone (a zombie is gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def children() -> dict[int, list[int]]:
    """Every living process's children."""
    tree: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                tree.setdefault(int(fields[1]), []).append(int(folder.name))
    return tree


def with_descendants(pids: set[int]) -> set[int]:
    """The processes and all that they started, directly or not."""
    tree, found, left = children(), set(), list(pids)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left.extend(tree.get(pid, []))
    return found


def with_environment(*needles: str) -> set[int]:
    """Processes whose environment holds every one of `needles`, each of the form NAME=VALUE."""
    wanted = {needle.encode() for needle in needles}
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                held = set((folder / "environ").read_bytes().split(b"\0"))
            except OSError:
                continue
            if wanted <= held:
                found.add(int(folder.name))
    return found


def holding_sockets(folder: Path) -> set[int]:
    """Processes that hold a Unix socket bound inside `folder`."""
    inodes = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith(f"{folder}/"):
            inodes.add(f"socket:[{fields[6]}]")
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if str(link.readlink()) in inodes:
                found.add(int(link.parts[2]))
        except OSError:
            continue
    return found


def signal_all(pids: set[int], number: int) -> None:
    """Signal each process; one that has ended in the meantime is no error."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_until(ready, seconds: float, pause: float = 0.1) -> bool:
    """Ask `ready()` until it is true; False when `seconds` have passed."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


class Daemon:
    """One background process with a record (`run/NAME.json`) and a log (`log/NAME.out`) of its own."""

    def __init__(self, folder: Path, name: str, command: list[str], env: dict[str, str]):
        self.name, self.command, self.env = name, command, env
        self.folder = folder
        self.record = folder / "run" / f"{name}.json"
        self.output = folder / "log" / f"{name}.out"

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        try:
            held = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return None
        return held["pid"] if start_time(held["pid"]) == held["start"] else None

    def start(self) -> None:
        """Start it in a session of its own, so that no terminal's Ctrl-C reaches it."""
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self.env,
                start_new_session=True,
            )
        part = self.record.with_suffix(".part")
        part.write_text(json.dumps({"pid": process.pid, "start": start_time(process.pid)}))
        part.replace(self.record)
        process.returncode = 0  # it is meant to outlive us: no ResourceWarning for not waiting

    def stop(self, patience: float = 10) -> None:
        """End it: SIGTERM, and SIGKILL when it has not gone after `patience` seconds."""
        pid = self.pid
        if pid is not None:
            signal_all({pid}, signal.SIGTERM)
            if not wait_until(lambda: self.pid is None, patience):
                signal_all({pid}, signal.SIGKILL)
                wait_until(lambda: self.pid is None, 5)
        self.record.unlink(missing_ok=True)

    def last_words(self, log: Path | None = None) -> str:
        """The last line it wrote, for an error message."""
        for path in (log, self.output):
            if path and path.exists():
                lines = path.read_text(errors="replace").strip().splitlines()
                if lines:
                    return lines[-1]
        return "it wrote nothing"
