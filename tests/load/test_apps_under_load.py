"""An app is switched again and again while visitors come in every way: none is dropped, none sees two releases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Project

HERE = Path(__file__).parent


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
@pytest.mark.parametrize("switches", [6, pytest.param(200, marks=pytest.mark.soak)])
def test_no_request_to_an_app_is_dropped(server, project: Project, switches, tmp_path):
    project.write("app.py", (HERE / "app.py").read_text())
    project.write("Procfile", "web: exec python3 app.py\n")
    for number in (1, 2):
        project.commit(f"release {number}", number=str(number))
        pushed = project.push("main")
        assert pushed.ok, pushed.out
    out = tmp_path / "told.json"
    visitors = subprocess.Popen(
        [sys.executable, str(HERE / "app_visitor.py"), server.edge, "blog.localhost", str(out)],
        stdin=subprocess.PIPE,
    )
    token = server.token("maya")
    try:
        for turn in range(switches):
            target = ("r1", "r2")[turn % 2]
            done = server.api("/v1/sites/blog/rollback", token, "POST", {"target": target})
            assert done.status == 200, (turn, done.text)
    finally:
        assert visitors.stdin is not None
        visitors.stdin.close()
        visitors.wait(timeout=60)
    told = json.loads(out.read_text())
    assert told["failed"] == []
    assert all(told["requests"][kind] > 2 for kind in ("fresh", "kept", "upload", "download", "talk")), told
