"""A Slurm cluster of two nodes that are both this machine: `python -m tests.slurm_cluster up`, and `down`.

It needs root and Debian's packages slurm-wlm, slurmdbd, mariadb-server and munge, and starts none of their services:
its daemons, their files, sockets and ports are its own, below one temporary folder. Only /etc/hosts learns the names of
the nodes, until `down`.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

NODES = ("n1", "n2")
HOSTS = Path("/etc/hosts")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacctmgr")
PACKAGES = "slurm-wlm slurmdbd mariadb-server munge"
MARK = "SIMLM_CLUSTER"
"""Tells in the environment of a daemon, and of what it starts for jobs, which of which cluster it is."""
PATIENCE = 180.0
SLURM = """ClusterName=simlm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.id
SlurmdPidFile={folder}/slurmd-%n.id
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[1]}
AccountingStoragePass={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
SlurmdParameters=config_overrides
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs=2
PartitionName=main Nodes=ALL Default=YES PriorityTier=1
PartitionName=urgent Nodes=ALL PriorityTier=2
"""
SLURMDBD = """AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[1]}
PidFile={folder}/slurmdbd.id
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[4]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
MARIADB = """[mariadbd]
datadir={folder}/data
user=root
socket={folder}/mariadb.socket
pid-file={folder}/mariadb.id
bind-address=127.0.0.1
port={ports[4]}
init-file={folder}/start.sql
[client]
socket={folder}/mariadb.socket
"""
SQL = """CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm@127.0.0.1 IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@127.0.0.1;
"""


def lack() -> str | None:
    """Return what is missing for a cluster on this machine; None where nothing is."""
    if os.geteuid():
        return "only root can set up a Slurm cluster"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(missing)}: apt-get install {PACKAGES}" if missing else None


class Cluster:
    """The cluster whose files lie in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self.names = f"\n127.0.0.1 {' '.join(NODES)} # {folder}\n"

    def up(self) -> None:
        """Set the cluster up, and wait until its nodes are idle. Where that fails, nothing is left of it."""
        with ExitStack() as failed:
            failed.callback(self.down)
            self._write()
            HOSTS.write_text(HOSTS.read_text() + self.names)
            data = f"--datadir={self.folder}/data"
            self.call("mariadb-install-db", "--no-defaults", data, "--user=root", "--skip-test-db")
            self.start("munged")
            self.start("mariadbd")
            until(lambda: self.answers("mariadb-admin", f"--defaults-file={self.folder}/mariadb.cnf", "ping"))
            self.start("slurmdbd")
            until(lambda: self.answers("sacctmgr", "-i", "add", "cluster", "simlm"))
            for name in ("slurmctld", *NODES):
                self.start(name)
            self.wait_for_nodes()
            failed.pop_all()

    def _write(self) -> None:
        values = {"folder": self.folder, "host": socket.gethostname().split(".")[0], "ports": free_ports(5)}
        files = {"slurm.conf": SLURM, "slurmdbd.conf": SLURMDBD, "mariadb.cnf": MARIADB, "start.sql": SQL}
        for name, text in files.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_text(text.format(**values))
        (self.folder / "munge.key-file").touch(mode=0o600)
        (self.folder / "munge.key-file").write_bytes(os.urandom(128))
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()

    def start(self, name: str) -> None:
        """Start a daemon: munged, mariadbd, slurmdbd, slurmctld, or a node's slurmd by the node's name."""
        folder = self.folder
        commands = {
            "munged": ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket"]
            + [f"--{what}={folder}/munge.{what}" for what in ("key-file", "log-file", "pid-file", "seed-file")],
            "mariadbd": ["mariadbd", f"--defaults-file={folder}/mariadb.cnf"],
        }
        command = commands.get(name, ["slurmd", "-D", "-N", name] if name in NODES else [name, "-D"])
        with (folder / f"{name}.log").open("a") as log:
            subprocess.Popen(
                command,
                env=self.environment | {MARK: f"{folder}:{name}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill a daemon, as a machine does that loses its power: a node's jobs die with it."""
        end(self.processes(f"{self.folder}:{name}"))

    def processes(self, mark: str) -> list[psutil.Process]:
        """Return the processes of the daemons whose mark begins so, those of jobs included."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                # Not psutil's, which reads nothing of a process that has changed its title, as slurmstepd does.
                if f"{MARK}={mark}".encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
                    found += [process, *process.children(recursive=True)]
        return found

    def down(self) -> None:
        """Kill all of the cluster's processes, and leave the machine as it was."""
        end(self.processes(f"{self.folder}:"))
        HOSTS.write_text(HOSTS.read_text().replace(self.names, ""))
        shutil.rmtree(self.folder)

    def call(self, *command: str) -> str:
        """Return what a command prints; an error when it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def answers(self, *command: str) -> bool:
        """Return whether a command succeeds."""
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=PATIENCE).returncode == 0

    def jobs(self, states: str, folder: Path = Path("/")) -> list[str]:
        """Return the numbers of the jobs in one of some states that work below a folder."""
        rows = self.call("squeue", "--noheader", f"--states={states}", "--format=%i %Z").splitlines()
        return [row.split()[0] for row in rows if Path(row.split(maxsplit=1)[1]).is_relative_to(folder)]

    def wait_for_nodes(self) -> None:
        """Wait until every node waits for jobs."""
        idle = [f"{node} idle" for node in NODES]
        until(
            lambda: (
                self.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T").splitlines() == idle
            )
        )


def end(processes: list[psutil.Process]) -> None:
    """Kill processes and wait for their end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def until(condition: Callable[[], object]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def main() -> None:
    """Set a cluster up and print what a shell needs to use it, or take down the one that this shell uses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    what = parser.parse_args().what
    if reason := lack():
        sys.exit(reason)
    if what == "down":
        cluster = Cluster(Path(os.environ.get("SLURM_CONF", "/")).parent)
        if cluster.names not in HOSTS.read_text():
            sys.exit("SLURM_CONF names no cluster that `up` made: call `down` in the shell that has evaluated its line")
        cluster.down()
        return
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    cluster.up()
    print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}")


if __name__ == "__main__":
    main()
