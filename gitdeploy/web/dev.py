"""The door of `gitdeploy dev`: makes the site again at every save, and serves it until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn
from watchfiles import Change, DefaultFilter, awatch

from gitdeploy.errors import Failed, Invalid
from gitdeploy.service.dev import Workshop
from gitdeploy.service.teller import Teller
from gitdeploy.web.dev_site import Screen, Site


def serve(folder: Path, listen: str, write: Callable[[bytes], None]) -> None:
    """Serve `folder` at `host:port` until SIGINT, SIGTERM or SIGHUP; `write` is told what happens.

    Changes the working directory, for the edge's code. Raises Failed or Invalid when it cannot begin.
    """
    with _bound(listen) as door:
        asyncio.run(_serve(folder, door, Teller(write)))


async def _serve(folder: Path, door: socket.socket, teller: Teller) -> None:
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    workshop = Workshop(folder, teller)
    os.chdir(workshop.home.root)
    screen = Screen(workshop)
    server = uvicorn.Server(
        uvicorn.Config(
            Site(screen), lifespan="off", ws="none", log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=2,
        )
    )  # fmt: skip
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve([door]))
    host, port = door.getsockname()[:2]
    teller.step(
        f"{workshop.folder} at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)"
    )
    try:
        await _keep_up(workshop, screen, teller, ending)
    finally:
        screen.close()
        server.should_exit = True
        await serving
        workshop.close()


async def _keep_up(workshop: Workshop, screen: Screen, teller: Teller, ending: threading.Event) -> None:
    """Make the site now and after every save; a save meanwhile stops the making, and the newest is made."""

    async def make(cancel: threading.Event) -> None:
        await asyncio.to_thread(workshop.make, cancel)
        screen.refresh()

    def is_save(change: Change, path: str) -> bool:
        return not_noise(change, os.path.relpath(path, workshop.folder))

    not_noise = DefaultFilter()
    cancel = threading.Event()
    making = asyncio.create_task(make(cancel))
    saves = awatch(
        workshop.folder,
        watch_filter=is_save,
        stop_event=ending,
        rust_timeout=1000,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    sure = False  # of nothing being saved before the watch began
    try:
        async for changes in saves:
            if (changes or not sure) and await asyncio.to_thread(workshop.changed):
                cancel.set()
                await making
                teller.step(f"saved: {_named(workshop.folder, changes)}")
                cancel = threading.Event()
                making = asyncio.create_task(make(cancel))
            sure = True
    except OSError as error:
        raise Failed(f"Cannot watch {workshop.folder}: {error}.") from error
    finally:
        cancel.set()
        await making


def _named(folder: Path, changes: Iterable[tuple[Change, str]]) -> str:
    names = sorted(os.path.relpath(path, folder) for _, path in changes)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"{listen!r} is not an address.", "Say host:port, such as 127.0.0.1:8000.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    except OSError as error:
        reason = (error.strerror or "").partition(" (")[0]
        raise Failed(
            f"Cannot listen on {listen}: {reason}.", "Choose another with --listen, such as 127.0.0.1:0."
        ) from error
