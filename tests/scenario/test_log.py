"""One id from the push to the switch: in every line that the server logs of it, with the build, and in the output of
a push that is refused.
"""

from __future__ import annotations

import json
import re

import pytest
from support import Project, Server, eventually


@pytest.fixture
def machine(request):
    one = Server(settings='[log]\nformat = "json"\n')
    request.addfinalizer(one.destroy)
    one.start()
    one.cli("site", "create", "blog")
    return one


def lines(machine: Server, id: str) -> list[dict]:
    return [
        one for one in map(json.loads, re.findall(r"^\{.*\}$", machine.said(), re.M)) if one.get("id") == id
    ]


def pushed(out: str) -> str:
    (id,) = set(re.findall(r"psh_[0-9A-Z]{26}", out))
    return id


def test_one_id_tells_the_story_of_a_push(machine, tmp_path):
    project = Project(tmp_path / "project", machine)
    project.git("remote", "add", "managed", machine.remote("blog", "maya", "maintainer"))
    project.git("remote", "add", "local", str(machine.home / "repos" / "blog.git"))
    project.write("gitdeploy.toml", '[build]\ncommand = "mkdir out && cp *.html out"\noutput = "out"\n')
    project.commit("one", index_html="one")
    first = project.push("main")
    assert first.ok and "psh_" not in first.out
    live = machine.facts("builds", "blog")[0]["push"]
    told = [one.get("action", "") for one in lines(machine, live)]
    assert [one for one in told if one in ("build.queued", "build.built", "release.live")] == [
        "build.queued", "build.built", "release.live"
    ]  # fmt: skip
    first, *_, last = lines(machine, live)
    assert first["message"].startswith("push of refs/heads/main to blog by maya") and first["level"] == "info"
    assert last["message"] == "refs/heads/main of blog is accepted"
    (switched,) = [one for one in lines(machine, live) if one.get("action") == "release.live"]
    assert (switched["site"], switched["env"], switched["subject"], switched["actor"]) == (
        "blog", "production", "r1", "maya",
    )  # fmt: skip
    project.commit("two", index_html="two")
    shown = project.push("HEAD:refs/heads/x\ufffd", "HEAD:refs/heads/next", remote="local")
    assert shown.ok, shown.out
    preview = eventually(lambda: machine.facts("builds", "blog")[0]["push"])
    eventually(lambda: [one.get("action") for one in lines(machine, preview)].count("release.live") == 2)
    assert preview != live and all(one["id"] == preview for one in lines(machine, preview))

    project.write("gitdeploy.toml", '[build]\ncommand = "exit 3"\noutput = "out"\n')
    project.commit("broken")
    broken = project.push("main")
    assert not broken.ok
    assert "build.failed" in [one.get("action") for one in lines(machine, pushed(broken.out))]
    assert "is refused" in lines(machine, pushed(broken.out))[-1]["message"]

    answer = machine.api(
        "/v1/sites/blog/promote", machine.token("maya"), "POST", {"target": "next", "reason": "a\nb"}
    )
    request = answer.headers["gitdeploy-request"]
    assert answer.status == 200 and "release.live" in [one.get("action") for one in lines(machine, request)]
    assert "gitdeploy-request" not in machine.api("/v1/sites", machine.token("maya")).headers

    machine.stop()
    (machine.home / "server.toml").write_text('[log]\nformat = "xml"\n')
    refused = machine.cli("serve", check=False)
    assert refused.returncode == 2 and "cannot be 'xml'" in refused.stderr
    (machine.home / "server.toml").unlink()
    begin = machine.log.stat().st_size
    machine.start()
    assert project.push("HEAD:rollback/previous").ok
    line = (
        r"^\S+ \S+ INFO gitdeploy\.events \[psh_[0-9A-Z]{26}\]: release\.live blog production r\d+ by maya$"
    )
    assert re.search(line, machine.said(begin), re.M)
