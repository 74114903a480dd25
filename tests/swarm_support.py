"""A real registry, a real engine, and images for them, made without anything being pulled from anywhere.

with registry(folder) as reg:
    base = push_image(reg, "base", base_layer())           # sh and python3 work in it
    with engine(folder) as dockerd:
        dockerd.docker("run", "--rm", base, "python3", "-c", "print(1)")
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tarfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databases import free_port
from support import eventually

import gitdeploy

DOCKER = "/usr/bin/docker"  # Debian's own: another may stand before it in PATH and be too new for its engine
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

_APPLETS = "sh ls cat cp mv rm ln mkdir chmod echo env find grep head tail sed awk sleep stat test true false wc wget"
_SKIPPED = {"test", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo", "pydoc_data"}
_EDGE_NEEDS = ("click", "h11", "httptools", "idna", "jinja2", "markupsafe", "uvicorn", "uvloop")


@dataclass
class Registry:
    """`docker-registry serve` with its files in `folder`; with a `password` only `user` may come in."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    user: str = ""
    password: str = ""
    inside: Sequence[str] = ()
    """What the program is started by, such as `nsenter --net=…`."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        said: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.address},
        }
        if self.password:
            users = self.folder / "htpasswd"
            users.write_text(f"{self.user}:{_bcrypt(self.password)}\n")
            said["auth"] = {"htpasswd": {"realm": "registry", "path": str(users)}}
        (self.folder / "registry.yml").write_text(json.dumps(said))  # JSON is YAML
        with open(self.folder / "registry.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, "docker-registry", "serve", str(self.folder / "registry.yml")],
                stdout=log, stderr=log,
            )  # fmt: skip
        if not self.inside:
            eventually(self.answers, why="the registry did not start")

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/v2/")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request, by nothing of ours: status, headers (lower case), body. `content_type=…` is a header."""
        url = path if path.startswith("http") else f"http://{self.address}{path}"
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.password:
            said["Authorization"] = "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(url, data=body, method=method, headers=said)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def blobs(self) -> dict[str, int]:
        """What it stores, layers, configs and manifests alike: bytes by digest."""
        return {
            f"sha256:{one.parent.name}": one.stat().st_size
            for one in (self.folder / "data").glob("docker/registry/v2/blobs/sha256/*/*/data")
        }

    def damage(self, digest: str, content: bytes) -> None:
        """Put other bytes in place of those that are stored under a digest."""
        plain = digest.removeprefix("sha256:")
        path = self.folder / "data/docker/registry/v2/blobs/sha256" / plain[:2] / plain / "data"
        path.write_bytes(content)


@contextlib.contextmanager
def registry(folder: Path, **settings: Any) -> Iterator[Registry]:
    one = Registry(folder, **settings)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def push_image(
    reg: Registry, name: str, *layers: bytes, tag: str = "latest", run: Mapping[str, Any] | None = None
) -> str:
    """Push an image of gzipped tars; returns `REG/name@sha256:…`. `run` is its config's, such as {"Cmd": […]}."""
    config = json.dumps(
        {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"], **(run or {})},
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(one)) for one in layers]},
            "history": [{"created_by": "tests"} for _ in layers],
        }
    ).encode()
    for blob in (*layers, config):
        push_blob(reg, name, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": LAYER, "size": len(one), "digest": _digest(one)} for one in layers],
    }
    body = json.dumps(manifest).encode()
    status, _, said = reg.ask("PUT", f"/v2/{name}/manifests/{tag}", body, content_type=MANIFEST)
    assert status == 201, said
    return f"{reg.address}/{name}@{_digest(body)}"


def push_blob(reg: Registry, name: str, blob: bytes) -> None:
    status, headers, said = reg.ask("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert status == 202, said
    place = headers["location"]
    mark = "&" if "?" in place else "?"
    status, _, said = reg.ask(
        "PUT", f"{place}{mark}digest={_digest(blob)}", blob, content_type="application/octet-stream"
    )
    assert status == 201, said


@functools.cache
def base_layer() -> bytes:
    """A gzipped tar of a small Linux: busybox, this machine's Python with its libraries, and an open /tmp."""
    with _layer() as (tar, packed):
        for folder in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var"):
            _add_folder(tar, folder, 0o1777 if folder == "tmp" else 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        busybox = shutil.which("busybox", path="/bin:/usr/bin")
        assert busybox is not None, "busybox-static is not installed"
        tar.add(busybox, "bin/busybox", filter=_plain)
        for applet in _APPLETS.split():
            _add_link(tar, f"bin/{applet}", "busybox")
        python = Path("/usr/bin/python3").resolve()
        tar.add(python, "usr/bin/python3", filter=_plain)
        library = Path("/usr/lib") / python.name
        tar.add(library, f"usr/lib/{library.name}", filter=_plain)
        _add_libraries(tar, [python, *(library / "lib-dynload").glob("*.so")])
    return packed.getvalue()


@functools.cache
def gitdeploy_layer() -> bytes:
    """A layer above `base_layer`: gitdeploy and what its edge imports, for `python3 -m gitdeploy.runtime.edge`."""
    with _layer() as (tar, packed):
        package = Path(str(gitdeploy.__file__)).parent
        tar.add(package, "opt/gitdeploy/gitdeploy", filter=_plain)
        for name in ("hooks", "templates"):
            tar.add(package.parent / name, f"opt/gitdeploy/gitdeploy/_data/{name}", filter=_plain)
        site = Path(str(__import__("click").__file__)).parents[1]
        for name in _EDGE_NEEDS:
            tar.add(site / name, f"opt/gitdeploy/{name}", filter=_plain)
        tar.add(site / "typing_extensions.py", "opt/gitdeploy/typing_extensions.py", filter=_plain)
        _add_libraries(tar, [one for name in _EDGE_NEEDS for one in (site / name).rglob("*.so")])
    return packed.getvalue()


@functools.cache
def program_layer(name: str) -> bytes:
    """A layer above `base_layer`: a program of this machine with its libraries."""
    with _layer() as (tar, packed):
        program = Path(shutil.which(name) or f"/usr/bin/{name}").resolve()
        tar.add(program, f"usr/bin/{name}", filter=_plain)
        _add_libraries(tar, [program])
    return packed.getvalue()


def push_base(reg: Registry, name: str = "base") -> str:
    """The image that apps' files are put on: sh and python3 work in it."""
    return push_image(reg, name, base_layer())


def push_files_base(reg: Registry, name: str = "files") -> str:
    """The image that sites of files are put on: `python3 -m gitdeploy.runtime.edge` works in it."""
    return push_image(
        reg, name, base_layer(), gitdeploy_layer(),
        run={"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONPATH=/opt/gitdeploy"]},
    )  # fmt: skip


@dataclass
class Engine:
    """A dockerd with all its files below `folder`."""

    folder: Path
    options: Sequence[str] = ()
    inside: Sequence[str] = ()
    """What the program is started by, such as `nsenter --net=…`."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def socket(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with open(self.folder / "dockerd.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, "dockerd", "-H", self.socket, "--data-root", str(self.folder / "data"),
                 "--exec-root", str(self.folder / "exec"), "-p", str(self.folder / "docker.pid"),
                 "--storage-driver", "overlay2", *self.options],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        def up() -> bool:
            assert self.process is not None and self.process.poll() is None, self.said()
            return self.docker("version", check=False).returncode == 0

        eventually(up, seconds=60, why="dockerd did not start")

    def docker(
        self, *words: str, check: bool = True, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [DOCKER, "--config", str(self.folder), "-H", self.socket, *words],
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def said(self) -> str:
        return (self.folder / "dockerd.log").read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """As a machine that loses its power."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it with all that runs in it, and let go of every mount below its folder."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
        for left in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        mounts = re.findall(
            rf"^\S+ ({re.escape(str(self.folder))}/\S+) ", Path("/proc/mounts").read_text(), re.M
        )
        for mount in reversed(mounts):
            subprocess.run(["umount", "-l", mount], capture_output=True)

    def _left(self) -> list[int]:
        """Processes that still say the folder in their command line: containerd and its shims."""
        found = []
        for one in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in one.read_bytes() and int(one.parent.name) != os.getpid():
                    found.append(int(one.parent.name))
        return found


@contextlib.contextmanager
def engine(folder: Path, *options: str, **settings: Any) -> Iterator[Engine]:
    """One engine by itself. Without networks of its own: containers use the host's, or none."""
    one = Engine(folder, options or ("--bridge=none", "--iptables=false", "--ip-forward=false"), **settings)
    try:
        one.start()
        one.wait()
        yield one
    finally:
        one.stop()


def _bcrypt(password: str) -> str:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), b"$2b$05$abcdefghijklmnopqrstuu").decode()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _layer() -> Iterator[tuple[tarfile.TarFile, io.BytesIO]]:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield tar, packed


def _plain(one: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(one.name).parts
    if not _SKIPPED.isdisjoint(parts) or one.name.endswith((".a", ".exe")):
        return None
    if any(part.startswith("config-3") for part in parts):
        return None
    one.uid = one.gid = 0  # times stay: what is compiled is for a file of that time
    one.uname = one.gname = ""
    one.mode |= 0o444
    return one


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    one = tarfile.TarInfo(name)
    one.size = len(content)
    tar.addfile(one, io.BytesIO(content))


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    one = tarfile.TarInfo(name)
    one.type, one.mode = tarfile.DIRTYPE, mode
    tar.addfile(one)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    one = tarfile.TarInfo(name)
    one.type, one.linkname = tarfile.SYMTYPE, target
    tar.addfile(one)


def _add_libraries(tar: tarfile.TarFile, programs: Sequence[Path]) -> None:
    """The shared libraries that programs are linked with, by the names they are looked for."""
    done = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True)
    for path in sorted(set(re.findall(r"(?:=>|^)\s+(/\S+) \(0x", done.stdout, re.MULTILINE))):
        tar.add(Path(path).resolve(), path.lstrip("/"), filter=_plain)
