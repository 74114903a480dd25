"""A branch that moves without a push is built all the same."""

from __future__ import annotations

from support import eventually


def test_a_fetched_branch_gets_its_preview_and_a_removed_one_loses_it(server, project, tmp_path):
    project.commit("one", index_html="one")
    assert project.push("main").ok
    project.git("checkout", "-q", "-b", "mirrored")
    project.commit("two", index_html="two")
    repository = str(server.home / "repos/blog.git")

    project.git("--git-dir", repository, "fetch", "-q", str(project.folder), "mirrored:mirrored")
    eventually(lambda: server.get("mirrored--blog").status == 200)
    assert server.get("mirrored--blog").text == "two"
    assert server.facts("builds", "blog")[0]["actor"] == "gitdeploy"

    project.git("--git-dir", repository, "update-ref", "-d", "refs/heads/mirrored")
    eventually(lambda: server.get("mirrored--blog").status == 404)
    assert server.facts("previews", "blog") == []
    assert len(server.facts("releases", "blog", "--env", "production")) == 1
