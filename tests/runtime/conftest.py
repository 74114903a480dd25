"""A real edge for each driver."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from edge_support import App, Edge, Site, make_site, run_app, start_edge

from gitdeploy.runtime.edge import driver
from gitdeploy.store.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    """Short enough for unix sockets, which pytest's tmp_path need not be."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-"))
    yield Home(folder)
    driver.stop(Home(folder))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def edges() -> Iterator[Callable[[driver.Driver], Edge]]:
    """One edge for each driver, started when first asked for."""
    homes: list[Home] = []
    running: dict[driver.Driver, Edge] = {}

    def edge(kind: driver.Driver) -> Edge:
        if kind not in running:
            homes.append(Home(Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-"))))
            running[kind] = start_edge(homes[-1], kind)
        return running[kind]

    yield edge
    for home in homes:
        driver.stop(home)
        shutil.rmtree(home.root)


@pytest.fixture(params=["embedded", "caddy"])
def edge(request: pytest.FixtureRequest, edges: Callable[[driver.Driver], Edge]) -> Edge:
    return edges(request.param)


@pytest.fixture
def site(edge: Edge) -> Site:
    return make_site(edge)


@pytest.fixture
def apps() -> Iterator[Callable[..., App]]:
    """`apps(site, "r1")` starts a program in a slot and makes it live; all end with the test."""
    running: list[App] = []

    def live(site: Site, slot: str, name: str = "") -> App:
        running.append(run_app(site, slot, name))
        site.production.point(slot)
        return running[-1]

    yield live
    for app in running:
        app.kill()


@pytest.fixture
def run(site: Site, apps: Callable[..., App]) -> Callable[..., App]:
    return partial(apps, site)
