"""Three machines of a swarm, as far as one machine can play them: a network namespace and an engine each.

They hang on a bridge in a fourth namespace. This machine is on it too, at the ground's `gate`: the registry listens
there, and the server and the visitors reach the nodes as from any other machine. Nothing may be published through the
ingress mesh here (the kernel has no IPVS). Each swarm has a ground of its own, so several may be up at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
from requests.exceptions import RequestException
from support import eventually
from swarm_support import (
    Engine,
    Registry,
    base_layer,
    program_layer,
    push_base,
    push_files_base,
    push_image,
    registry,
)

PORT = 18080
"""Where the edge listens on every node."""
DISK = 512 * 1024**2
"""Bytes of a node's."""
_GROUNDS = range(1, 17)
_SECONDS = 90.0


@dataclass(frozen=True)
class Ground:
    """Names and addresses that no other swarm has."""

    number: int

    @property
    def gate(self) -> str:
        """This machine's address among the nodes."""
        return self.address(2)

    @property
    def switch(self) -> str:
        return f"gd{self.number}switch"

    @property
    def plug(self) -> str:
        return f"gd{self.number}host"

    def node(self, number: int) -> str:
        return f"gd{self.number}node{number}"

    def address(self, host: int) -> str:
        return f"10.88.{self.number}.{host}"


@dataclass
class Node(Engine):
    """`address` is on the bridge, `link` its plug there."""

    name: str = ""
    address: str = ""
    link: str = ""
    switch: str = ""

    @property
    def edge(self) -> str:
        return f"{self.address}:{PORT}"

    def start(self) -> None:
        """Its disk is a small one of its own, in memory, which outlives an engine that is killed."""
        disk = self.folder / "data"
        if not disk.is_mount():
            disk.mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "node", str(disk))
        super().start()

    @property
    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.socket, timeout=60)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (RequestException, docker.errors.DockerException):
            return False

    def stop(self) -> None:
        """Nobody is told: an engine that leaves a swarm in good order takes long."""
        if self.process is not None and self.answers():
            self.lose_power()
        super().stop()

    def lose_power(self) -> None:
        """The engine and all that it runs end at once."""
        pids = [one.attrs["State"]["Pid"] for one in self.client.containers.list()]
        self.kill()
        self.process = None
        for pid in (*pids, *self._left()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cut(self) -> None:
        """Nobody reaches it any more, nor it anybody."""
        run(*within(self.switch), "ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        run(*within(self.switch), "ip", "link", "set", self.link, "up")


@dataclass
class Swarm:
    ground: Ground
    registry: Registry
    images: dict[str, str]
    """`base`, `files` and `edge`, as `[swarm]` of server.toml takes them."""
    nodes: list[Node] = field(default_factory=list)

    @property
    def settings(self) -> str:
        """`[swarm]` of a server.toml."""
        named = "".join(f'{name} = "{image}"\n' for name, image in self.images.items())
        engines = " ".join(one.socket for one in self.nodes)
        place = f'engine = "{engines}"\nregistry = "{self.registry.address}"\ninsecure = true\n'
        return f"[swarm]\n{place}port = {PORT}\n{named}"

    @property
    def edges(self) -> list[str]:
        """Where visitors come in."""
        return [one.edge for one in self.nodes]

    def leader(self) -> Node:
        for one in self.nodes:
            if one.answers():
                for node in one.client.nodes.list():
                    if node.attrs.get("ManagerStatus", {}).get("Leader"):
                        address = node.attrs["ManagerStatus"]["Addr"].partition(":")[0]
                        return next(other for other in self.nodes if other.address == address)
        raise AssertionError("nobody leads")

    def ready(self) -> int:
        """How many nodes the managers think well of."""
        return sum(one.attrs["Status"]["State"] == "ready" for one in self.leader().client.nodes.list())


def within(space: str) -> tuple[str, ...]:
    """Before a command that is to run in a namespace. (`ip netns exec` would hide the control groups.)"""
    return ("nsenter", f"--net=/run/netns/{space}")


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def swarm(folder: Path, count: int = 3) -> Iterator[Swarm]:
    """`count` nodes, each of them a manager, and a registry with the images that a server needs."""
    with contextlib.ExitStack() as ends:
        ground = ends.enter_context(_ground())
        names = [ground.node(number) for number in range(1, count + 1)]
        ends.enter_context(_network(ground, names))
        reg = ends.enter_context(registry(folder / "registry", host=ground.gate))
        images = {
            "base": push_base(reg),
            "files": push_files_base(reg),
            "edge": push_image(reg, "caddy", base_layer(), program_layer("caddy")),
        }
        made = Swarm(ground, reg, images)
        for number, name in enumerate(names, start=1):
            own = ("unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', name)
            node = Node(
                folder / name, ("--insecure-registry", reg.address), (*within(name), *own), name=name,
                address=ground.address(10 + number), link=f"to-{name}", switch=ground.switch,
            )  # fmt: skip
            made.nodes.append(node)
            ends.callback(node.stop)
            node.start()
        for node in made.nodes:
            node.wait()
        first, *others = made.nodes
        first.client.swarm.init(advertise_addr=first.address, listen_addr=first.address)
        token = first.client.swarm.attrs["JoinTokens"]["Manager"]
        for node in others:
            node.client.swarm.join(
                [f"{first.address}:2377"], token, advertise_addr=node.address, listen_addr=node.address
            )
        eventually(lambda: made.ready() == count, seconds=_SECONDS, why="the nodes are not ready")
        yield made


@contextlib.contextmanager
def _ground() -> Iterator[Ground]:
    """One that nobody stands on."""
    for number in _GROUNDS:
        with open(Path(tempfile.gettempdir()) / f"gitdeploy-swarm-{number}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield Ground(number)
            return
    raise AssertionError("every ground is taken")


@contextlib.contextmanager
def _network(ground: Ground, names: list[str]) -> Iterator[None]:
    _take_down(ground, names)
    try:
        switch = within(ground.switch)
        run("ip", "netns", "add", ground.switch)
        run(*switch, "ip", "link", "add", "br0", "type", "bridge")
        run(*switch, "ip", "link", "set", "br0", "up")
        _plug(ground.plug, ("host0", ground.switch))
        run("ip", "addr", "add", f"{ground.gate}/24", "dev", ground.plug)
        run("ip", "link", "set", ground.plug, "up")
        run(*switch, "ip", "link", "set", "host0", "master", "br0", "up")
        for number, name in enumerate(names, start=1):
            run("ip", "netns", "add", name)
            run(*within(name), "ip", "link", "set", "lo", "up")
            _plug(f"to-{name}", ("eth0", name), "netns", ground.switch)
            run(*within(name), "ip", "addr", "add", f"{ground.address(10 + number)}/24", "dev", "eth0")
            run(*within(name), "ip", "link", "set", "eth0", "up")
            run(*switch, "ip", "link", "set", f"to-{name}", "master", "br0", "up")
        yield
    finally:
        _take_down(ground, names)


def _plug(name: str, other: tuple[str, str], *where: str) -> None:
    """A cable: one end is `name`, the other a name in a namespace."""
    run("ip", "link", "add", name, *where, "type", "veth", "peer", "name", other[0], "netns", other[1])


def _take_down(ground: Ground, names: list[str]) -> None:
    run("ip", "link", "del", ground.plug, check=False)
    for name in (ground.switch, *names):
        run("ip", "netns", "del", name, check=False)
