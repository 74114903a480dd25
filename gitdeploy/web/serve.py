"""`gitdeploy serve`: the one process that owns a home, from its lock to its last request.

Order at start: lock the home, open ledger and store, settle what a crash left, put the hooks in place, start or
adopt the edge, open the doors, build what was accepted. At the end: close the doors, let work finish, and leave
the edge serving.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvicorn
from anyio import to_thread
from fastapi import FastAPI

from gitdeploy import resources
from gitdeploy.errors import Failed, Invalid
from gitdeploy.git import repository as repositories
from gitdeploy.runtime.edge import driver
from gitdeploy.runtime.edge.tls import Tls
from gitdeploy.service import access, bring_back, builder, follow, maintenance, reconcile, server_file, trace
from gitdeploy.service.context import Context
from gitdeploy.service.queue import BuildQueue
from gitdeploy.store import durable
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.ledger import Ledger
from gitdeploy.store.vault import Vault
from gitdeploy.web.app import Local, application
from gitdeploy.web.console import ConsoleDoor
from gitdeploy.web.first_run import FirstRun
from gitdeploy.web.hooks import HookDoor
from gitdeploy.web.leading import leading
from gitdeploy.web.sessions import Sessions, local
from gitdeploy.web.unix import listen

log = logging.getLogger("gitdeploy")
logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
HOOKS = ("pre-receive", "proc-receive", "post-receive")
_WAITING = 1000
"""Requests that may wait at once (for a build, for their turn), each in a thread: none stands in another's way."""
_STOPPING = "the server is stopping"


@dataclass(frozen=True)
class Wish:
    """What the command line asked for. Addresses are `host:port`; port 0 takes any free one. Without `edge_tls` there
    is no HTTPS.
    """

    home: Path
    listen: str
    edge: str
    edge_driver: driver.Driver
    edge_tls: str = ""
    grace: float = 20.0


def serve(wish: Wish, ready: Callable[[str, str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the addresses of git, of the sites, and, while there is no admin,
    of the page that makes the first one.

    Raises Busy when another process owns the home.
    """
    while (again := _serve(wish, ready)) is not None:
        wish = again


def _serve(wish: Wish, ready: Callable[[str, str, str], None]) -> Wish | None:
    """Until it is to end; what is to be served next when it is to begin anew."""
    if repositories.git_version() < repositories.OLDEST_GIT:
        raise Failed("This git is too old: gitdeploy needs git 2.29 or newer.", "Install a newer git.")
    bring_back.refuse_half(Home(wish.home.resolve()))
    follow.refuse(Home(wish.home.resolve()))
    with opened(wish.home) as ctx, leading(ctx) as lead:
        trace.write_logs(ctx.server.log.format)
        if ctx.lead.settled:
            reconcile.at_start(ctx)
        install_hooks(ctx)
        access.write_authorized_keys(ctx)
        tls = Tls(wish.edge_tls, **asdict(ctx.server.tls)) if wish.edge_tls else None

        def ensure_edge() -> driver.EdgeStatus:
            return driver.ensure(ctx.home, wish.edge_driver, wish.edge, tls)

        status = ensure_edge()
        ctx.edge, ctx.tls = status.listen, status.tls
        door = _bind(wish.listen)
        ctx.listen = "{}:{}".format(*door.getsockname()[:2])
        sessions = Sessions()
        hooks = HookDoor(ctx, sessions, ctx.home.run / "hooks.sock")
        hooks.open()
        consoles = ConsoleDoor(ctx, sessions, ctx.home.run / "console.sock")
        consoles.open()
        if ctx.lead.settled:
            reconcile.moved_apps(ctx)
            reconcile.pending_pushes(ctx)
        first_run = FirstRun(ctx)

        def told() -> None:
            own = f"http://{ctx.listen}/"
            ready(own, ctx.url("<site>"), f"{own}setup?code={first_run.code}" if first_run.code else "")
            lead.opened.set()

        ending = threading.Event()
        keeper = threading.Thread(
            target=maintenance.run,
            args=(ctx, ending, ensure_edge),
        )
        keeper.start()
        try:
            asyncio.run(_doors(ctx, application(ctx, sessions, first_run), door, wish.grace, told))
        finally:
            ending.set()
            _finish(ctx, wish.grace)
            hooks.close()
            consoles.close()
            keeper.join()
        return replace(wish, listen=ctx.listen) if lead.again.is_set() else None


def install_hooks(ctx: Context) -> None:
    """Put the hooks where every repository looks for them, with a Python that starts fast (no shim on PATH)."""
    home = ctx.home
    settings = repositories.shared_settings(hooks=home.hooks, max_pack=ctx.server.max_push)
    durable.write_file(home.git_config, settings.encode())
    durable.make_folder(home.hooks)
    script = (resources.folder("hooks") / "receive").read_bytes()
    _, rest = script.split(b"\n", 1)
    python = "/usr/bin/python3"
    if not os.access(python, os.X_OK):
        python = os.path.realpath(sys.executable)
    text = b"#!" + os.fsencode(python) + b" -ISE\n" + rest
    if len(text.split(b"\n", 1)[0]) > 127 or " " in python:
        raise Failed(
            f"The hooks cannot be run by {python}: its path is too long or has spaces.", "Install python3."
        )
    for name in HOOKS:
        path = home.hooks / name
        if not path.exists() or path.read_bytes() != text:
            durable.write_file(path, text, mode=0o755)


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Context]:
    """The home, locked for this process alone. Raises Busy, or Failed when the ledger cannot be read."""
    home = Home(root.resolve())
    try:
        durable.make_folder(
            home.root, mode=0o711 if os.geteuid() == 0 else 0o700
        )  # apps of a root run as another
        for folder, mode in ((home.run, 0o700), (home.keys, 0o700), (home.repos, 0o755), (home.logs, 0o755)):
            durable.make_folder(folder, mode=mode)
    except OSError as error:
        raise Failed(f"Cannot use {home.root}: {error.strerror}.", "Choose another with --home.") from error
    busy = f"Another gitdeploy already serves {home.root}."
    with durable.exclusive(home.run / "daemon.lock", busy=busy):
        server = server_file.load(home.root / "server.toml")
        ledger = Ledger(home.ledger)
        try:
            queue = BuildQueue(server.builders)
            ctx = Context(home, ledger, Store(home), server, queue, Vault(home.keys))
            builder.settle(ctx)
            yield ctx
        finally:
            ledger.close()


async def _doors(
    ctx: Context, app: FastAPI, door: socket.socket, grace: float, ready: Callable[[], None]
) -> None:
    """The TCP door and, for this machine, the unix socket: one application, two ways to be known.

    When it is to end, whoever is being answered is still told how it went: after `grace` seconds builds are
    stopped, and a little later the rest is cut off.
    """
    to_thread.current_default_thread_limiter().total_tokens = _WAITING
    options = {
        "log_config": None, "access_log": False, "lifespan": "off", "timeout_graceful_shutdown": int(grace) + 5
    }  # fmt: skip
    public = uvicorn.Server(uvicorn.Config(app, **options))  # type: ignore[arg-type]
    private = uvicorn.Server(uvicorn.Config(Local(app, local(os.getuid())), **options))  # type: ignore[arg-type]
    servers = (public, private)
    for one in servers:
        one.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        one.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]

    def stop() -> None:
        ctx.queue.stopping.set()
        loop.call_later(grace, ctx.queue.cancel_all, _STOPPING)
        for one in servers:
            one.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks = [
        asyncio.create_task(public.serve([door])),
        asyncio.create_task(private.serve([listen(ctx.home.run / "api.sock")])),
    ]
    while not all(one.started for one in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.005)
    if all(one.started for one in servers):
        ready()
    await asyncio.gather(*tasks)


def _finish(ctx: Context, grace: float) -> None:
    """Let what is under way finish; builds that take longer are stopped, and accepted pushes built next time."""
    ctx.queue.stopping.set()
    if not ctx.queue.drain(grace):
        ctx.queue.cancel_all(_STOPPING)
        ctx.queue.drain(30)


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Invalid(f"{address!r} is not an address.", "Say host:port, such as 127.0.0.1:8470.")
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # or a short answer waits 40 ms for its own header
    try:
        door.bind((host.strip("[]"), int(port)))
    except OSError as error:
        raise Failed(
            f"Cannot listen on {address}: {error.strerror}.", "Choose another with --listen."
        ) from error
    return door
