"""A pod without an engine: a read-only root, its mounts, an unprivileged user, nothing else.

Needs root and a mount namespace of its own. The image's files are made from the wheel; Python and
the libraries come from this machine.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.program.own_process import ROOT

USER_ID = 65532
PREFIX = Path("/opt/des-admin")
LIBRARIES = "/libraries"  # not where they are: that may be hidden by the scratch volume
SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc")


def require_namespaces() -> None:
    """Skip where a process may not have mounts of its own."""
    allowed = os.geteuid() == 0 and (
        subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    if not allowed:
        pytest.skip("needs root and mount namespaces")


def install_image(directory: Path) -> Path:
    """What the Containerfile copies to /opt/des-admin: an environment with the wheel."""
    quiet = {"check": True, "capture_output": True, "text": True}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, str(directory), str(ROOT)], **quiet)
    [wheel] = directory.glob("*.whl")
    target = directory / "des-admin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], **quiet)
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python"), "install"]
    pip += ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], **quiet)
    [site] = (target / "lib").glob("python3*/site-packages")
    (site / "libraries.pth").write_text(f"{LIBRARIES}\n")
    for script in (target / "bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.name.startswith("des-"):
            script.write_text(script.read_text().replace(str(target), str(PREFIX)))
    return target


@dataclass(frozen=True)
class Pod:
    """One pod specification, and what of this machine stands behind its mounts, by mount path."""

    spec: Mapping[str, Any]
    image: Path
    behind: Mapping[str, Path]
    environment: Mapping[str, str]

    def run(self, *command: str, root: Path) -> subprocess.CompletedProcess[str]:
        """Run a command, by default the pod's own, as the pod would."""
        [container] = self.spec["containers"]
        words = command or tuple(container["command"])
        script = "\n".join(self._script(root, container, words))
        return subprocess.run(
            ["unshare", "--mount", "--fork", "--kill-child", "sh", "-euc", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _script(
        self, root: Path, container: Mapping[str, Any], words: tuple[str, ...]
    ) -> list[str]:
        lines = ["mount --make-rprivate /", f"mount -t tmpfs -o mode=755 none {root}"]
        for name in SYSTEM:
            path = Path("/", name)
            if path.is_symlink():
                lines.append(f"cp -P {path} {root}/{name}")
            elif path.is_dir():
                lines += _bind(path, root, str(path), read_only=True)
        lines += [f"mkdir {root}/dev {root}/proc", f"mount --rbind /dev {root}/dev"]
        lines.append(f"mount --rbind /proc {root}/proc")
        if not sys.base_prefix.startswith("/usr"):
            lines += _bind(Path(sys.base_prefix), root, sys.base_prefix, read_only=True)
        installed = Path(sysconfig.get_paths()["purelib"])
        lines += _bind(installed, root, LIBRARIES, read_only=True)
        lines += _bind(self.image, root, str(PREFIX), read_only=True)
        for mount in container["volumeMounts"]:
            path = mount["mountPath"]
            if path in self.behind:
                read_only = mount.get("readOnly", False)
                lines += _bind(self.behind[path], root, path, read_only=read_only)
            else:
                lines.append(f"mkdir -p {root}{path}")
                lines.append(f"mount -t tmpfs -o mode=1777 none {root}{path}")
        lines.append(f"mount -o remount,ro {root}")
        drop = f"setpriv --reuid={USER_ID} --regid={USER_ID} --clear-groups --no-new-privs"
        drop += " --bounding-set=-all --inh-caps=-all"
        env = " ".join(shlex.quote(f"{key}={value}") for key, value in self.environment.items())
        inner = f"cd /tmp && exec {drop} env -i {env} {shlex.join(words)}"
        lines.append(f"exec chroot {root} sh -c {shlex.quote(inner)}")
        return lines


def _bind(source: Path, root: Path, path: str, *, read_only: bool) -> list[str]:
    target = shlex.quote(f"{root}{path}")
    lines = [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(source))} {target}"]
    return [*lines, f"mount -o remount,bind,ro {target}"] if read_only else lines
