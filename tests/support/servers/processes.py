"""Server processes of the tests: an unprivileged user, a private directory, an end that is sure."""

import contextlib
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_UNPRIVILEGED = "nobody"
_PREFIX = "des-test-"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_PORTS, _SHARES = range(10_000, 20_000), 16


class ServerFailedError(RuntimeError):
    """A test server did not start or stop; the message ends with its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has, and that nobody is given until it is bound.

    The kernel hands out ports from `ip_local_port_range`; a server that starts for a second would
    now and then find its own taken. These are below, and each process of a test run has its share.
    """
    return next(port for port in _own_ports if _is_free(port))


def _ports_of_this_process() -> Iterator[int]:
    """Its share again and again, from a place by chance: another run may be at work beside."""
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES
    ports = range(_PORTS.start + share, _PORTS.stop, _SHARES)
    place = random.SystemRandom().randrange(len(ports))
    yield from itertools.cycle((*ports[place:], *ports[:place]))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_own_ports = _ports_of_this_process()


def server_user() -> str | None:
    """The user to run servers as; None where we are not root and run them as ourselves."""
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def _privilege_prefix(*, death_signal: str | None) -> list[str]:
    """The `setpriv` call that drops root and ties the server's life to the starting thread's."""
    setpriv = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
    user = server_user()
    if setpriv is None:
        if user is not None:
            raise ServerFailedError("servers refuse to run as root, and setpriv is missing")
        return []
    prefix = [setpriv]
    if user is not None:
        entry = pwd.getpwnam(user)
        prefix += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    if death_signal is not None:
        prefix += ["--pdeathsig", death_signal]
    return [*prefix, "--"] if len(prefix) > 1 else []


def make_server_dir(kind: str) -> Path:
    """A new directory that the server user owns and can reach (pytest's own is closed to it)."""
    base = Path(tempfile.gettempdir())
    if server_user() is not None and not base.stat().st_mode & 0o001:
        base = Path("/tmp")
    _sweep_stale_dirs(base)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{os.getpid()}-", dir=base))
    user = server_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    return directory


def _sweep_stale_dirs(base: Path) -> None:
    """Remove what test runs left that were killed before they could clean up."""
    for path in base.glob(f"{_PREFIX}*"):
        match = re.match(rf"{_PREFIX}[a-z]+-(\d+)-", path.name)
        if match and not Path("/proc", match[1]).exists():
            shutil.rmtree(path, ignore_errors=True)


def run_tool(command: Sequence[str | Path], *, cwd: Path) -> None:
    """Run a preparing tool such as initdb as the server user."""
    done = subprocess.run(
        [*_privilege_prefix(death_signal=None), *map(str, command)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_server_environment(cwd),
        check=False,
    )
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace")
        raise ServerFailedError(f"{command[0]} exited with {done.returncode}:\n{output}")


def _server_environment(cwd: Path) -> dict[str, str]:
    """A plain environment: no PG*, MYSQL* or locale variables of the person who runs the tests."""
    path = os.environ.get("PATH", "")
    places = {
        "HOME": str(cwd),
        "TMPDIR": str(cwd),
    }  # no server meets the temporary files of another
    return {"PATH": f"{path}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **places}


class ServerProcess:
    """One server in the foreground of a session of its own, ended by its process id only.

    The kernel kills it when the *thread* that started it dies, however that happens: start
    servers from the main thread.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log_path = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailedError(f"{self.name} is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str | Path], is_ready: Callable[[], bool]) -> None:
        """Start, and wait until `is_ready` answers True; raises with the log otherwise."""
        if self.is_running:
            raise ServerFailedError(f"{self.name} is running already (pid {self.pid})")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*_privilege_prefix(death_signal="KILL"), *map(str, command)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_server_environment(self.directory),
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill9()
                raise ServerFailedError(f"{self.name} did not start:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self, signal_number: signal.Signals) -> None:
        """Send the signal and wait for the end; kill what does not end in time, and say so."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill9()
            message = f"{self.name} ignored {signal_number.name}:\n{self.log_tail()}"
            raise ServerFailedError(message) from None
        self._process = None

    def kill9(self) -> None:
        """End the server and its children as a crash does: no signal handler of theirs runs."""
        process = self._process
        if process is None:
            return
        children = _child_pids(process.pid)
        process.kill()
        process.wait(_STOP_TIMEOUT_S)
        self._process = None
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            _wait_until_gone(child)

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _child_pids(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(word) for word in text.split()]


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie that nobody has asked for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if has_ended(pid):
            return
        time.sleep(0.01)
    raise ServerFailedError(f"process {pid} outlived SIGKILL")
