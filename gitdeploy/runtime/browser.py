"""Pictures of pages, as a visitor's browser shows them: Chromium without a window, confined by bubblewrap."""

from __future__ import annotations

import http.client
import shutil
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from gitdeploy import bubblewrap, process
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.user import lesser

WIDTH, HEIGHT = 1280, 1600  # pixels
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ETC = ("fonts", "hosts", "nsswitch.conf", "passwd", "group", "ssl", "chromium", "chromium.d", "alternatives")
_WITHIN = 60.0
_LARGEST = 1 << 20  # bytes
_SETTLED = 3000
"""Milliseconds of a page's own time after which it is taken as it is; they pass as fast as it can be drawn."""
_QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--user-data-dir=/tmp/profile", "--force-color-profile=srgb",
)  # fmt: skip


def missing() -> str:
    """What keeps this machine from taking pictures; empty when nothing does."""
    if _browser() is None:
        return "Chromium is not installed (apt-get install chromium)"
    return _trouble()


def picture(url: str, edge: str, folder: Path, name: str) -> bytes:
    """A PNG of the page at `url`, whose host is asked for at `edge` (`host:port`) and no other anywhere. `folder` is
    one that the browser may write to. Raises Failed.
    """
    browser = _browser()
    if browser is None or missing():
        raise Failed(f"No pictures can be taken: {missing()}.", "")
    where = _reachable(edge.rpartition(":")[0])
    command = Command(
        (
            browser, *_QUIET, f"--window-size={WIDTH},{HEIGHT}", f"--virtual-time-budget={_SETTLED}",
            f"--host-resolver-rules=MAP {urlsplit(url).hostname} {where}, MAP * ~NOTFOUND",
            f"--screenshot=/out/{name}", url,
        ),
        cwd=Path("/"), env={"HOME": "/tmp"},
    )  # fmt: skip
    done = process.run(_confined(command, folder), timeout=_WITHIN)
    made = folder / name
    if not made.is_file() or made.is_symlink():
        said = done.err.decode(errors="replace").strip().splitlines()
        raise Failed(f"The browser made no picture of {url}: {said[-1][:200] if said else done.code}.")
    return made.read_bytes()


def text(url: str, edge: str) -> str:
    """What is at `url`, asked for at `edge` as above; nothing when that is no success. At most 1 MiB."""
    host, _, port = edge.rpartition(":")
    said = urlsplit(url)
    connection = http.client.HTTPConnection(_reachable(host), int(port), timeout=10)
    try:
        connection.request("GET", said.path, headers={"Host": said.netloc})
        answer = connection.getresponse()
        return answer.read(_LARGEST).decode("utf-8", "replace") if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


# Private


@lru_cache(maxsize=1)
def _browser() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@lru_cache(maxsize=1)
def _trouble() -> str:
    return bubblewrap.trouble(_confined(Command(("true",), cwd=Path("/")), None))


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0", "[::]", "localhost") else host.strip("[]")


def _confined(command: Command, folder: Path | None) -> Command:
    """It sees the system's programs and fonts, a network, and `folder` as /out."""
    shown = [
        word for name in _ETC if (path := Path("/etc", name)).exists()
        for word in ("--ro-bind", str(path.resolve()), str(path))
    ]  # fmt: skip
    out = ["--bind", str(folder), "/out"] if folder else []
    options = ["--die-with-parent", "--new-session", *_open("/tmp"), *_open("/dev/shm")]
    return bubblewrap.confined(command, lesser("gitdeploy-build"), [*options, "--dir", "/etc", *shown, *out])


def _open(folder: str) -> tuple[str, ...]:
    return ("--perms", "1777", "--tmpfs", folder)
