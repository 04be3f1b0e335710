"""A real SLURM cluster on one machine: accounting database, controller and two nodes in a folder of its own."""

import getpass
import json
import os
import random
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from slurm_processes import (
    Daemon,
    holding_sockets,
    signal_all,
    start_time,
    wait_until,
    with_descendants,
    with_environment,
)
from slurm_settings import DATABASE_SQL, SLURM_CONF, SLURMDBD_CONF

NODES = ("n1", "n2")
PACKAGES = ("munge", "mariadb-server-core", "mariadb-client-core", "slurmdbd", "slurmctld", "slurmd", "slurm-client")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "my_print_defaults", "slurmdbd", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "sacct", "sacctmgr", "scontrol", "sinfo", "scancel")
SEARCH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
# A Unix socket's path may have 107 characters; the longest here is mysqld's, 10 below the folder.
LONGEST_FOLDER = 80
MARK = ".serflow-slurm"


class ClusterError(Exception):
    """Something the user can act on; its text is one line."""


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS + CLIENTS if not shutil.which(name, path=SEARCH)]


def default_folder() -> Path:
    """Where the cluster lives unless told otherwise."""
    return Path(os.environ.get("SERFLOW_SLURM_DIR") or Path(tempfile.gettempdir()) / "serflow-slurm").resolve()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below the range from which the kernel takes ports for outgoing connections."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


class Cluster:
    """The cluster in one folder; every method may be called again after a failure."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.user = getpass.getuser()
        self.conf = folder / "etc" / "slurm.conf"
        self.bin = folder / "bin"
        run = folder / "run"
        base = {"PATH": SEARCH, "LANG": "C.UTF-8", "SLURM_CONF": str(self.conf)}
        base |= {name: os.environ[name] for name in ("TZ", "HOME") if name in os.environ}
        self.daemon_env = base | {"MYSQL_UNIX_PORT": str(run / "mysqld.socket")}
        self.env = os.environ | {"SLURM_CONF": str(self.conf), "PATH": f"{self.bin}:{SEARCH}"}
        program = {name: shutil.which(name, path=SEARCH) or name for name in PROGRAMS}
        munged = ["--foreground", "--force", f"--socket={run / 'munge.socket'}", "--num-threads=2"]
        munged += [f"--key-file={folder / 'etc' / 'munge.key'}"]
        munged += [f"--seed-file={folder / 'etc' / 'munge.seed'}"]
        munged += [f"--pid-file={run / 'munged.pid'}", f"--log-file={folder / 'log' / 'munged.log'}"]
        mariadbd = ["--no-defaults", f"--datadir={folder / 'db'}", "--skip-networking", f"--user={self.user}"]
        mariadbd += [f"--socket={run / 'mysqld.socket'}", f"--pid-file={run / 'mariadbd.pid'}"]
        mariadbd += [f"--init-file={folder / 'etc' / 'database.sql'}", "--innodb-buffer-pool-size=64M"]
        commands = {"munged": munged, "mariadbd": mariadbd, "slurmdbd": ["-D"], "slurmctld": ["-D"]}
        commands |= {node: ["-D", "-N", node] for node in NODES}
        self.daemons = {
            name: Daemon(folder, name, [program.get(name, program["slurmd"]), *arguments], self.daemon_env)
            for name, arguments in commands.items()
        }

    # -- what is there ---------------------------------------------------------------------------------------------

    def run(self, *command: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Run one of SLURM's commands against this cluster."""
        try:
            return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=seconds)
        except (subprocess.TimeoutExpired, OSError) as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))

    def exists(self) -> bool:
        """Whether the folder holds a cluster, running or not."""
        return (self.folder / MARK).exists()

    def node_states(self) -> dict[str, str]:
        """Each node's state in sinfo's words; empty while the controller is down."""
        answer = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T")
        return dict(line.split() for line in answer.stdout.splitlines())

    def up(self) -> list[str]:
        """What is not as it should be; empty when everything runs and both nodes take jobs."""
        wrong = [f"{name} is down" for name, daemon in self.daemons.items() if daemon.pid is None]
        if not wrong:
            states = self.node_states()
            usable = ("idle", "mixed", "allocated", "completing")
            wrong = [f"{node} is {states.get(node, 'unknown')}" for node in NODES if states.get(node) not in usable]
        return wrong

    # -- up ----------------------------------------------------------------------------------------------------------

    def bring_up(self) -> None:
        """Start whatever does not run yet, in order, each once the one before it answers."""
        missing = missing_programs()
        if missing:
            raise ClusterError(
                f"SLURM is not installed ({', '.join(missing)} missing): run tests/slurm/cluster install"
            )
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise ClusterError(f"{self.folder} is too long for a socket's path: set SERFLOW_SLURM_DIR to a shorter one")
        try:
            socket.getaddrinfo("127.0.0.1", None, socket.AF_INET, flags=socket.AI_ADDRCONFIG)
        except socket.gaierror:
            raise ClusterError(
                "SLURM needs a network address besides loopback: ip address add 192.0.2.1/32 dev lo gives one"
            ) from None
        self._claim_folder()
        self._write_settings()
        self._prepare_database()
        sign = ("munge", "--no-input", f"--socket={self.folder / 'run' / 'munge.socket'}")
        self._start("munged", lambda: self.run(*sign).returncode == 0, 10)
        self._start("mariadbd", self._database_answers, 30)
        self.start_accounting()
        self._register_user()
        self._start("slurmctld", lambda: "is UP" in self.run("scontrol", "ping").stdout, 20)
        for node in NODES:
            if self.daemons[node].pid is None:
                self.daemons[node].start()
        self._resume_nodes()
        if not wait_until(lambda: not self.up(), 30, pause=0.2):
            raise ClusterError(f"{'; '.join(self.up())}: see {self.folder / 'log'}")

    def _claim_folder(self) -> None:
        """Make the folder, or see that it is ours: `down` removes it with all that it holds."""
        if self.folder.exists() and not self.exists() and any(self.folder.iterdir()):
            raise ClusterError(f"{self.folder} holds something else: set SERFLOW_SLURM_DIR to a folder of its own")
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise ClusterError(f"{self.folder} belongs to someone else: set SERFLOW_SLURM_DIR to a folder of your own")
        (self.folder / MARK).touch()

    def _write_settings(self) -> None:
        """Write the configuration once; ports and password are kept as long as the folder."""
        for name in ("", "etc", "run", "log", "state", "spool", "bin", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        kept = self.folder / "etc" / "kept.json"
        if not kept.exists():
            names = ("slurmctld", "slurmdbd", *NODES)
            values = dict(zip(names, free_ports(len(names)), strict=True)) | {"password": secrets.token_hex(16)}
            self._write("etc/kept.json", json.dumps(values), 0o600)
        values = json.loads(kept.read_text())
        values |= {"folder": self.folder, "user": self.user, "host": socket.gethostname().partition(".")[0]}
        self._write("etc/slurm.conf", SLURM_CONF.format(**values), 0o644)
        self._write("etc/slurmdbd.conf", SLURMDBD_CONF.format(**values), 0o600)
        self._write("etc/database.sql", DATABASE_SQL.format(**values), 0o600)
        if not (self.folder / "etc" / "munge.key").exists():
            self._write("etc/munge.key", secrets.token_bytes(1024), 0o600)
        # Snakemake's job step removes every SLURM_* variable, SLURM_CONF with them, before it calls srun. These
        # stand-ins on PATH put it back, so that nothing has to be written to /etc/slurm.
        conf = shlex.quote(str(self.conf))
        for name in CLIENTS:
            real = shutil.which(name, path=":".join(part for part in SEARCH.split(":") if part != str(self.bin)))
            self._write(f"bin/{name}", f'#!/bin/sh\nSLURM_CONF={conf} exec {real} "$@"\n', 0o755)

    def _write(self, name: str, content: str | bytes, mode: int) -> None:
        """Write a file beside its place and rename it, never readable by more than `mode` allows."""
        path = self.folder / name
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        part.chmod(mode)
        part.replace(path)

    def _prepare_database(self) -> None:
        """Lay out an empty database; a layout that was cut short is thrown away and done again."""
        done = self.folder / "db.done"
        if done.exists():
            return
        shutil.rmtree(self.folder / "db", ignore_errors=True)
        answer = self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'db'}", f"--user={self.user}",
            "--auth-root-authentication-method=socket", "--skip-test-db", seconds=120,
        )  # fmt: skip
        if answer.returncode:
            (self.folder / "log" / "mariadb-install-db.log").write_text(answer.stdout + answer.stderr)
            raise ClusterError(f"the database could not be laid out: see {self.folder / 'log'}/mariadb-install-db.log")
        done.touch()

    def _database_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.folder / "run" / "mysqld.socket")) == 0

    def _start(self, name: str, ready, seconds: float) -> None:
        daemon = self.daemons[name]
        if daemon.pid is None:
            daemon.start()
        if not wait_until(lambda: daemon.pid is None or ready(), seconds) or daemon.pid is None:
            words = daemon.last_words(self.folder / "log" / f"{name}.log")
            raise ClusterError(f"{name} did not start: {words} (logs in {self.folder / 'log'})")

    def _register_user(self) -> None:
        """Let the current user have the account `serflow`."""
        steps = (
            ("cluster", "serflow"),
            ("account", "serflow", "Description=serflow", "Organization=serflow"),
            ("user", self.user, "Account=serflow", "DefaultAccount=serflow"),
        )
        if self.user in self.run("sacctmgr", "-nP", "list", "assoc", "account=serflow", "format=user").stdout.split():
            return
        for step in steps:
            answer = self.run("sacctmgr", "--immediate", "--quiet", "add", *step)
            if answer.returncode and "exist" not in answer.stdout + answer.stderr:
                raise ClusterError(f"sacctmgr add {step[0]} failed: {(answer.stderr or answer.stdout).strip()}")

    def _resume_nodes(self) -> None:
        """Take nodes back that an earlier accident left down or drained."""
        for node, state in self.node_states().items():
            if state.startswith(("down", "drain")):
                self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")

    # -- accidents ---------------------------------------------------------------------------------------------------

    def kill_node(self, node: str) -> int:
        """End a node as a power cut would: its slurmd, its job steps and all that they started. Returns how many."""
        doomed = self._node_processes(node)
        signal_all(doomed, signal.SIGSTOP)  # so that none reports that another was killed
        signal_all(doomed, signal.SIGKILL)
        wait_until(lambda: not any(start_time(pid) for pid in doomed), 5)
        self.daemons[node].record.unlink(missing_ok=True)
        return len(doomed)

    def _node_processes(self, node: str) -> set[int]:
        """A node's slurmd and job steps (they hold sockets in its spool folder), their children and their orphans."""
        roots = holding_sockets(self.folder / "spool" / node)
        roots |= with_environment(f"SLURMD_NODENAME={node}", f"SLURM_CONF={self.conf}")
        pid = self.daemons[node].pid
        return with_descendants(roots | ({pid} if pid else set())) - {os.getpid()}

    def start_node(self, node: str) -> None:
        """Start a node that was killed and wait until it takes jobs again."""
        self._start(node, lambda: True, 5)
        if not wait_until(lambda: self.node_states().get(node) in ("idle", "mixed", "allocated"), 20, pause=0.2):
            raise ClusterError(
                f"{node} did not come back: {self.node_states().get(node)} (logs in {self.folder / 'log'})"
            )

    def stop_accounting(self) -> None:
        """End slurmdbd only; the database below it and the controller above it go on."""
        self.daemons["slurmdbd"].stop()

    def start_accounting(self) -> None:
        """Start slurmdbd and wait until it answers."""
        self._start("slurmdbd", lambda: self.run("sacctmgr", "-n", "list", "cluster").returncode == 0, 30)

    # -- down --------------------------------------------------------------------------------------------------------

    def take_down(self, keep: bool) -> None:
        """End every process of the cluster, jobs included, and remove its folder unless `keep`."""
        if not self.exists():
            return
        for node in NODES:
            self.kill_node(node)
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.daemons[name].stop()
        signal_all(
            with_environment(f"SLURM_CONF={self.conf}", f"MYSQL_UNIX_PORT={self.daemon_env['MYSQL_UNIX_PORT']}"),
            signal.SIGKILL,
        )
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
