"""The main job, as its users type it."""

from __future__ import annotations

import pytest
from support import eventually, passing_project, running

server = pytest.fixture(scope="module")(running)
project = pytest.fixture(passing_project)


def test_the_reviewed_bytes_go_live_by_a_fast_forward_without_a_build(server, project):
    project.commit("First page", index_html="<h1>one</h1>")
    assert project.push("main").ok
    project.git("checkout", "-q", "-b", "feature/checkout")
    commit = project.commit("New header", index_html="<h1>two</h1>")
    preview = project.push("feature/checkout")
    assert preview.ok, preview.out
    assert server.get("feature-checkout--blog").text == "<h1>two</h1>"
    assert server.get("blog").text == "<h1>one</h1>"
    reviewed = server.facts("live", "blog", "--env", "feature/checkout")
    builds = server.facts("builds", "blog")

    project.git("checkout", "-q", "main")
    project.git("merge", "-q", "--ff-only", "feature/checkout")
    pushed = project.push("main")

    assert pushed.ok, pushed.out
    assert "reused: nothing is built again" in pushed.out
    assert server.get("blog").text == "<h1>two</h1>"
    live = server.facts("live", "blog")
    assert live["artifact"] == reviewed["artifact"]
    assert live["build"] == reviewed["build"]
    assert (live["kind"], live["commit"], live["actor"]) == ("promote", commit, "maya")
    assert server.facts("builds", "blog") == builds


def test_rollback_refs_repoint_live_again_and_again(server, project):
    for number in range(1, 7):
        project.commit(f"page {number}", index_html=f"page {number}")
        assert project.push("main").ok

    for target, page in (("r1", "page 1"), ("r1", "page 1"), ("r6", "page 6")):
        pushed = project.push(f"HEAD:rollback/{target}")
        assert pushed.ok, pushed.out
        assert server.get("blog").text == page

    assert "rollback" not in project.git("ls-remote", "managed")
    newest = server.facts("releases", "blog")[:4]
    assert [one["release"] for one in newest] == ["r9", "r8", "r7", "r6"]
    assert [one["kind"] for one in newest] == ["rollback", "rollback", "rollback", "deploy"]
    assert [one["state"] for one in newest] == ["live", "rolled_back", "rolled_back", "rolled_back"]


def test_previous_goes_back_one_more_each_time(server, project):
    for number in range(1, 4):
        project.commit(f"page {number}", index_html=f"page {number}")
        assert project.push("main").ok
    for page in ("page 2", "page 1"):
        assert project.push("HEAD:rollback/previous").ok
        assert server.get("blog").text == page
    refused = project.push("HEAD:rollback/previous")
    assert refused.code == 1
    assert "no earlier good release" in refused.out
    assert server.get("blog").text == "page 1"


def test_a_failing_build_on_main_changes_nothing_and_the_fix_needs_no_dance(server, project):
    project.commit("good", index_html="good")
    assert project.push("main").ok
    before = server.facts("releases", "blog"), project.git("ls-remote", "managed", "refs/heads/main")

    project.commit("bad", gitdeploy_toml='[build]\ncommand = "echo compiling; exit 3"\noutput = "out"\n')
    failed = project.push("main")

    assert failed.code == 1
    assert "compiling" in failed.out
    assert "[remote rejected] main -> main" in failed.out
    after = server.facts("releases", "blog"), project.git("ls-remote", "managed", "refs/heads/main")
    assert after == before
    assert server.get("blog").text == "good"

    project.write(
        "gitdeploy.toml", '[build]\ncommand = "mkdir out; echo fixed > out/index.html"\noutput = "out"\n'
    )
    project.git("commit", "-qa", "--amend", "--no-edit")
    fixed = project.push("main")
    assert fixed.ok, fixed.out
    assert server.get("blog").text == "fixed\n"


def test_a_flipped_byte_is_refused_and_live_is_untouched(server, project):
    project.commit("one", index_html="one")
    assert project.push("main").ok
    victim = server.facts("live", "blog")["artifact"]
    project.commit("two", index_html="two")
    assert project.push("main").ok
    assert victim != server.facts("live", "blog")["artifact"]
    blob = next(
        path
        for path in (server.home / "store/blobs").rglob("*")
        if path.is_file() and path.read_bytes() == b"one"
    )
    blob.chmod(0o644)
    blob.write_bytes(b"0ne")

    pushed = project.push("HEAD:rollback/r1")
    assert pushed.code == 1
    assert "[remote rejected]" in pushed.out
    assert "index.html" in pushed.out
    refused = server.cli("rollback", "blog", "r1", "--yes", check=False)
    assert refused.returncode == 6
    assert server.get("blog").text == "two"
    assert server.facts("live", "blog")["release"] == "r2"


def test_a_branch_called_production_is_not_production(server, project):
    project.commit("one", index_html="one")
    assert project.push("main").ok
    project.git("checkout", "-q", "-b", "production")
    project.commit("two", index_html="two")
    project.git("remote", "add", "dev", server.remote("blog", "devi", "developer"))
    refused = project.push("production", remote="dev")
    assert refused.code == 1
    assert "production is an environment of blog" in refused.out
    assert server.get("blog").text == "one"
    repository = str(server.home / "repos/blog.git")
    project.git("--git-dir", repository, "fetch", "-q", str(project.folder), "production:production")
    project.git("--git-dir", repository, "fetch", "-q", str(project.folder), "production:mirrored")
    eventually(lambda: server.get("mirrored--blog").status == 200)
    assert server.get("blog").text == "one"
    assert server.facts("live", "blog")["release"] == "r1"


def test_a_named_environment_may_be_called_as_its_branch_and_a_preview_never_takes_its_place(server, project):
    project.commit("one", index_html="one", gitdeploy_toml='[environments.staging]\nbranch = "staging"\n')
    assert project.push("main").ok
    project.git("checkout", "-q", "-b", "staging")
    project.commit("two", index_html="two")
    assert project.push("staging").ok
    assert server.get("staging--blog").text == "two"
    assert server.facts("live", "blog", "--env", "staging")["env"] == "staging"
    assert server.facts("previews", "blog") == []
