"""Two nodes of a Galera cluster on the loopback: each takes writes, and holds locks by itself."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.servers.mysql import MySqlBinaries, MySqlServer

_PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")


def find_galera() -> Path | None:
    """The library that makes a MariaDB server a node; None where it is not installed."""
    return next((Path(path) for path in _PROVIDERS if Path(path).exists()), None)


class GaleraCluster:
    """Nodes in the order in which they joined; the first began the cluster."""

    def __init__(self, binaries: MySqlBinaries, provider: Path, size: int = 2) -> None:
        base = random.randrange(20_000, 30_000, 10)  # below the ports that the kernel hands out
        ports = [base + 100 * number for number in range(size)]
        self.nodes = [
            MySqlServer(binaries, _options(provider, port, ports[:number]))
            for number, port in enumerate(ports)
        ]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            node.remove()


def _options(provider: Path, port: int, peers: list[int]) -> Mapping[str, str]:
    places = {
        "base_host": "127.0.0.1",
        "base_port": str(port),
        "gmcast.listen_addr": f"tcp://127.0.0.1:{port}",
        "ist.recv_addr": f"127.0.0.1:{port + 1}",
        # Of two nodes, the one that is left when the other was killed goes on alone.
        "pc.ignore_quorum": "true",
    }
    return {
        "binlog-format": "ROW",
        "innodb-autoinc-lock-mode": "2",
        "wsrep-on": "ON",
        "wsrep-provider": str(provider),
        "wsrep-provider-options": ";".join(f"{name}={value}" for name, value in places.items()),
        "wsrep-cluster-name": "des_test",
        "wsrep-cluster-address": "gcomm://" + ",".join(f"127.0.0.1:{peer}" for peer in peers),
        "wsrep-node-address": f"127.0.0.1:{port}",
        "wsrep-sst-method": "rsync",
        "wsrep-sst-receive-address": f"127.0.0.1:{port + 2}",
    }
