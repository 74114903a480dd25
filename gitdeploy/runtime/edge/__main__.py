"""The embedded edge's process: `python -m gitdeploy.runtime.edge --home H [--listen 127.0.0.1:8480]`.

It always listens on `run/edge.sock`, where Caddy hands it the sites with page rules; not with `--only sites/SITE/ENV`,
which serves that one environment to every host and needs nothing else of a home. It works within the home and knows it
only as ".", so socket paths stay short and a home may be moved under it.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import socket
import sys
from pathlib import Path

import uvicorn

from gitdeploy.runtime.edge import app as edge
from gitdeploy.runtime.edge import pages, site, sockets
from gitdeploy.runtime.edge.access_log import Log
from gitdeploy.runtime.edge.protocol import BoundedProtocol, Server


def main() -> None:
    options = argparse.ArgumentParser(prog="gitdeploy.runtime.edge", description=__doc__)
    options.add_argument("--home", required=True)
    options.add_argument("--listen", default="", help="HOST:PORT, or fd:N for a socket that listens already")
    options.add_argument(
        "--https", help="what Caddy's https addresses need behind the host: nothing, or :8443"
    )
    options.add_argument("--only", help="serve this environment for every host: sites/SITE/ENV")
    chosen = options.parse_args()
    os.chdir(chosen.home)
    site.only = chosen.only
    edge.https_suffix = chosen.https
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a visitor of an app takes two
    pages.render_all()  # now: an upgrade may take the templates away while this process serves on
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s edge %(levelname)s %(message)s")
    listeners = [] if chosen.only else [sockets.listen_at(Path("run/edge.sock"))]
    if chosen.listen:
        listeners.append(_tcp(chosen.listen))
    if chosen.listen and not chosen.only:
        edge.log = Log(Path())
        sockets.hand_over(Path("run/edge.hand"), listeners[-1])
    config = uvicorn.Config(
        edge.app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=sockets.BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )
    Server(config).run(sockets=listeners)


def _tcp(listen: str) -> socket.socket:
    if listen.startswith("fd:"):
        return socket.socket(fileno=int(listen[3:]))
    host, _, port = listen.rpartition(":")
    try:
        door = socket.create_server((host, int(port)), backlog=sockets.BACKLOG)
    except OSError as error:
        sys.exit(f"edge: cannot listen on {listen}: {error.strerror}")
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return door


if __name__ == "__main__":
    main()
