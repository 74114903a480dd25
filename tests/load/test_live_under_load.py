"""20, or 200, promotions and rollbacks in turn while visitors come: none is dropped, none sees two releases mixed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Project, Server

VISITOR = Path(__file__).with_name("visitor.py")


@pytest.mark.parametrize("turns", [10, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.parametrize("driver", ["embedded", "caddy"])
def test_no_request_is_dropped_and_none_is_mixed(driver, turns, tmp_path, request):
    server = Server(edge_driver=driver)
    request.addfinalizer(server.destroy)
    server.start()
    server.cli("site", "create", "blog")
    project = Project(tmp_path / "project", server)
    project.git("remote", "add", "managed", server.remote("blog", "maya", "maintainer"))
    for number, length in ((1, 40_000), (2, 25_000)):
        mark = f"release {number}\n"
        project.write("index.html", mark + "x" * 100 * number + "\n" + mark)
        project.write("large.txt", mark + f"{number} line of text\n" * length + mark)
        project.commit(f"release {number}")
        assert project.push("main").ok
    token = server.token("maya")

    out = tmp_path / "told.json"
    visitors = subprocess.Popen(
        [sys.executable, str(VISITOR), server.edge, "blog.localhost", str(out)], stdin=subprocess.PIPE
    )
    try:
        for turn in range(turns):
            for verb, target in (("rollback", "r1"), ("promote", "main")):
                done = server.api(f"/v1/sites/blog/{verb}", token, "POST", {"target": target})
                assert done.status == 200, (turn, done.text)
    finally:
        visitors.stdin.close()
        visitors.wait(timeout=60)

    told = json.loads(out.read_text())
    assert told["failed"] == []
    assert told["requests"] > 200
    assert len(told["tags"]) == 4  # two files in two releases: each tag stands for one release
    assert server.facts("live", "blog")["release"] == f"r{2 + 2 * turns}"
