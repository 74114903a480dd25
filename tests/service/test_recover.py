"""The ledger is lost: everything that was live is live, and can be rolled back."""

from __future__ import annotations


def test_sites_releases_and_pointers_come_back_from_refs_notes_and_store(server, project):
    project.commit("one", index_html="one")
    assert project.push("main").ok
    project.commit("two", index_html="two")
    assert project.push("main").ok
    assert project.push("HEAD:rollback/r1").ok
    project.git("checkout", "-q", "-b", "feature/x")
    project.commit("three", index_html="three")
    assert project.push("feature/x").ok
    before = server.facts("releases", "blog")
    server.stop()
    refused = server.cli("recover", check=False)
    assert refused.returncode == 4 and "mv " in refused.stderr, "a ledger that is there is never overwritten"
    for path in server.home.glob("ledger.db*"):
        path.rename(path.with_name("lost-" + path.name))

    server.cli("recover")
    server.start()

    kept = (
        "release",
        "env",
        "kind",
        "state",
        "mark",
        "commit",
        "artifact",
        "actor",
        "origin",
        "live_at",
        "ended_at",
    )
    after = server.facts("releases", "blog")
    assert [{name: one[name] for name in kept} for one in after] == [
        {name: one[name] for name in kept} for one in before
    ]
    assert server.get("blog").text == "one"
    assert server.get("feature-x--blog").text == "three"
    project.git("remote", "set-url", "managed", server.remote("blog", "maya", "maintainer"))
    builds = len(server.facts("builds", "blog"))
    project.git("checkout", "-q", "main")
    project.git("merge", "-q", "--ff-only", "feature/x")
    pushed = project.push("main")
    assert pushed.ok and "reused" in pushed.out, pushed.out
    assert pushed.release() == "r5"
    assert project.push("HEAD:rollback/r2").ok
    assert server.get("blog").text == "two"
    assert len(server.facts("builds", "blog")) == builds
