"""A closed site and a protected preview, on both edges."""

from __future__ import annotations

import base64

import pytest
from support import Project, Server


@pytest.mark.parametrize("driver", ["embedded", "caddy"])
def test_maintenance_and_password_hold_from_the_next_request_on(driver, tmp_path, request):
    server = Server(edge_driver=driver)
    request.addfinalizer(server.destroy)
    server.start()
    server.cli("site", "create", "blog")
    project = Project(tmp_path / "project", server)
    project.git("remote", "add", "managed", server.remote("blog", "maya", "maintainer"))
    project.commit("one", index_html="one")
    assert project.push("main").ok
    assert project.push("HEAD:refs/heads/feature/x").ok

    server.cli("maintenance", "on", "blog", "--message", "Back at <noon>")
    closed = server.get("blog")
    assert closed.status == 503
    assert "retry-after" in closed.headers
    assert "Back at &lt;noon&gt;" in closed.text
    assert server.get("feature-x--blog").text == "one"
    project.commit("two", index_html="two")
    assert project.push("main").ok
    server.cli("maintenance", "off", "blog")
    assert server.get("blog").text == "two"

    server.cli("preview", "protect", "blog", "feature/x", stdin="open sesame\n")
    assert server.get("feature-x--blog").status == 401
    known = base64.b64encode(b"anybody:open sesame").decode()
    assert server.get("feature-x--blog", Authorization=f"Basic {known}").text == "one"
    server.cli("preview", "protect", "blog", "feature/x", "--off")
    assert server.get("feature-x--blog").text == "one"
