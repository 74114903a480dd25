"""Command refs: what is done by pushing a name, from whatever is checked out."""

from __future__ import annotations

from scenario_support import processes_with
from support import eventually


def pages(desk, count: int) -> list[str]:
    """`count` releases of production, `page 1` …; returns their commits."""
    commits = []
    for number in range(1, count + 1):
        commits.append(desk.commit(f"page {number}", index_html=f"page {number}"))
        pushed = desk.push("main")
        assert pushed.ok, pushed.out
    return commits


def test_a_rollback_is_the_same_order_under_every_prefix(desk):
    pages(desk, 2)
    for prefix in ("", "refs/heads/", "refs/tags/", "refs/"):
        for target, page in (("r1", "page 1"), ("r1", "page 1"), ("r2", "page 2")):
            pushed = desk.push(f"HEAD:{prefix}rollback/{target}")
            assert pushed.ok, pushed.out
            assert desk.page().text == page
    assert [one["kind"] for one in desk.releases[:12]] == ["rollback"] * 12
    assert not [ref for ref in desk.refs() if "rollback" in ref]


def test_a_tag_as_the_source_is_as_good_as_a_branch(desk):
    pages(desk, 2)
    desk.git("tag", "v9")
    desk.git("tag", "-a", "-m", "annotated", "v10")
    for source, page in (("v9", "r1"), ("v10", "r2"), ("main", "r1")):
        pushed = desk.push(f"{source}:rollback/{page}")
        assert pushed.ok, pushed.out
    assert desk.page().text == "page 1"
    assert "refs/tags/v9" not in desk.refs()


def test_a_detached_head_pushes_the_full_name(desk):
    pages(desk, 2)
    desk.git("checkout", "-q", "--detach", "HEAD~1")
    assert desk.push("HEAD:refs/rollback/r1").ok
    assert desk.page().text == "page 1"
    assert desk.push("HEAD:refs/redeploy/r2").ok
    assert desk.page().text == "page 2"


def test_what_the_client_shows_is_the_release_and_no_stale_branch_is_left(desk):
    pages(desk, 2)
    pushed = desk.push("HEAD:rollback/r1")
    assert "refs/releases/r3" in pushed.out
    assert "undo: git push managed HEAD:rollback/r2" in pushed.out
    assert desk.git("branch", "-r").split() == ["managed/main"]


def test_a_release_is_named_by_number_tag_or_commit(desk):
    commits = pages(desk, 2)
    desk.git("tag", "v1", commits[0])
    assert desk.push("v1").ok
    for name in ("r1", "1", "v1", commits[0], commits[0][:8], commits[0][:8].upper()):
        pushed = desk.push(f"HEAD:rollback/{name}")
        assert pushed.ok, pushed.out
        assert desk.page().text == "page 1", name
        assert desk.push("HEAD:rollback/r2").ok and desk.page().text == "page 2"


def test_an_unknown_release_is_refused_with_what_there_is(desk):
    pages(desk, 1)
    before = desk.state()
    for target in ("r99", "99", "v7", "deadbeef", "feature/none", "previous"):
        pushed = desk.push(f"HEAD:rollback/{target}")
        assert pushed.code == 1, target
        assert "[remote rejected]" in pushed.out
        assert f"gitdeploy releases {desk.site}" in pushed.out
        assert desk.state() == before


def test_promote_takes_a_branch_tag_build_commit_or_release(desk):
    pages(desk, 1)
    desk.git("checkout", "-q", "-b", "feature/deep/er")
    commit = desk.commit("reviewed", index_html="reviewed")
    desk.git("tag", "v2")
    assert desk.push("feature/deep/er", "v2").ok
    build = next(one["id"] for one in desk.builds if one["commit"] == commit)
    release, built = desk.releases[0]["release"], desk.built
    for target in ("feature/deep/er", "v2", build, build.lower().replace("_", "-"), commit[:7], release):
        assert desk.page().text == "page 1"
        pushed = desk.push(f"main:promote/{target}")
        assert pushed.ok, pushed.out
        assert desk.page().text == "reviewed", target
        assert (desk.live["kind"], desk.live["commit"], desk.live["build"]) == ("promote", commit, build)
        assert desk.built == built
        assert desk.refs()["refs/heads/main"] != commit
        assert desk.push("HEAD:rollback/r1").ok


def test_promote_builds_what_was_never_built(desk):
    pages(desk, 1)
    desk.git("checkout", "-q", "-b", "quiet")
    desk.commit("not looked at [skip ci]", index_html="built late")
    assert desk.push("quiet").ok
    built = desk.built
    assert desk.push("HEAD:promote/quiet").ok
    assert desk.page().text == "built late"
    assert desk.built == built + 1


def test_what_cannot_be_promoted_changes_nothing(desk):
    pages(desk, 1)
    before = desk.state()
    for target in ("nothing", "previous", "bld_" + "0" * 26, "r7", "deadbeef"):
        pushed = desk.push(f"HEAD:promote/{target}")
        assert pushed.code == 1, pushed.out
        assert "[remote rejected]" in pushed.out
    assert desk.state() == before


def test_redeploy_builds_the_same_commit_afresh(desk):
    commits = pages(desk, 2)
    before = desk.builds
    pushed = desk.push("HEAD:redeploy/r1")
    assert pushed.ok, pushed.out
    (new,) = [one for one in desk.builds if one not in before]
    assert (new["commit"], new["state"], new["reused_from"]) == (commits[0], "built", None)
    assert (desk.live["kind"], desk.live["build"]) == ("redeploy", new["id"])
    assert desk.page().text == "page 1"
    assert desk.push("HEAD:redeploy/live").ok
    assert desk.live["commit"] == commits[0]
    assert len(desk.builds) == len(before) + 2


def test_cancel_ends_every_process_of_the_build_and_says_so(desk, hold):
    pages(desk, 1)
    desk.git("checkout", "-q", "-b", "slow")
    mark = f"90000.{desk.site.removeprefix('site')}7"
    desk.commit(
        "slow", gitdeploy_toml=f"[build]\ncommand = '''setsid sleep {mark} & sleep {mark} & {hold.command('slow')}'''\n"
        'output = "out"\n',
    )  # fmt: skip
    pushing = desk.start("push", "managed", "slow")
    hold.arrived("slow")
    eventually(lambda: len(processes_with(f"sleep\0{mark}")) == 2)

    canceled = desk.push("HEAD:cancel/slow")

    assert canceled.ok, canceled.out
    build = desk.builds[0]
    assert f"canceled {build['id']}" in canceled.out
    assert not processes_with(f"sleep\0{mark}")
    assert (build["state"], build["ref"]) == ("canceled", "refs/heads/slow")
    ended = pushing.end()
    assert "canceled" in ended.out
    again = desk.push("HEAD:cancel/slow")
    assert again.code == 1
    assert "queued or building" in again.out


def test_cancel_takes_a_build_id_and_stops_a_gated_push(desk, hold):
    pages(desk, 1)
    before = desk.state()
    desk.commit("slow", gitdeploy_toml=hold.settings("gated"))
    pushing = desk.start("push", "managed", "main")
    hold.arrived("gated")
    assert desk.push(f"HEAD:cancel/{desk.builds[0]['id']}").ok
    ended = pushing.end()
    assert ended.code == 1
    assert "[remote rejected] main -> main" in ended.out
    assert desk.state() == before


def test_a_rollback_does_not_wait_for_somebodys_build(desk, hold):
    pages(desk, 2)
    desk.commit("slow", gitdeploy_toml=hold.settings("long"))
    pushing = desk.start("push", "managed", "main")
    hold.arrived("long")
    assert desk.push("HEAD:rollback/r1").ok
    assert desk.page().text == "page 1"
    hold.free("long")
    assert pushing.end().ok
    assert desk.page().text == "long\n"


def test_an_order_is_for_an_environment(desk):
    pages(desk, 1)
    desk.git("checkout", "-q", "-b", "feature")
    for number in (1, 2):
        desk.commit(f"draft {number}", index_html=f"draft {number}")
        assert desk.push("feature").ok
    pushed = desk.push("-o", "env=feature", "HEAD:rollback/previous")
    assert pushed.ok, pushed.out
    assert desk.page("feature").text == "draft 1"
    assert desk.page().text == "page 1"
    assert desk.push("-o", "env=feature", "HEAD:promote/r1").ok
    assert desk.page("feature").text == "page 1"
    refused = desk.push("-o", "env=nowhere", "HEAD:rollback/previous")
    assert refused.code == 1
    assert "no environment" in refused.out and "production" in refused.out


def test_what_gitdeploy_writes_is_fetched_and_never_pushed(desk):
    commits = pages(desk, 2)
    desk.git("fetch", "-q", "managed", "+refs/live/*:refs/live/*", "+refs/releases/*:refs/releases/*",
             "+refs/notes/*:refs/notes/*")  # fmt: skip
    assert desk.git("rev-parse", "refs/live/production", "refs/releases/r1").split() == [
        commits[1],
        commits[0],
    ]
    assert '"actor": "maya"' in desk.git("notes", "--ref", "deploys", "show", commits[0])
    assert desk.git("log", "--format=%s", "refs/releases/r1..refs/live/production") == "page 2"
    before = desk.state()
    for ref in (
        "refs/live/production",
        "refs/live/new",
        "refs/releases/r1",
        "refs/releases/r77",
        "refs/notes/deploys",
    ):
        for source in ("HEAD~1", ""):
            pushed = desk.push("--force", f"{source}:{ref}")
            assert pushed.code == 1 or "does not exist" in pushed.out or "non-existent" in pushed.out, (
                pushed.out
            )
    assert desk.state() == before


def test_reserved_words_are_refused_as_branches_and_tags(desk):
    pages(desk, 1)
    for word in ("snapshot", "restore", "clone", "cutover", "approve", "pin", "live", "releases"):
        desk.git("tag", f"{word}/x")
        for ref in (f"HEAD:refs/heads/{word}/x", f"refs/tags/{word}/x"):
            pushed = desk.push(ref)
            assert pushed.code == 1, ref
            assert "[remote rejected]" in pushed.out
    assert not [ref for ref in desk.refs() if "/x" in ref]


def test_release_commits_outlive_their_branch_and_git_gc(desk):
    commits = pages(desk, 1)
    desk.git("checkout", "-q", "-b", "short")
    commit = desk.commit("short-lived", index_html="short-lived")
    assert desk.push("short").ok
    release = desk.releases[0]["release"]
    assert desk.push(":short").ok
    desk.git("-C", str(desk.repository), "gc", "-q", "--prune=now")
    pushed = desk.push(f"main:promote/{release}")
    assert pushed.ok, pushed.out
    assert desk.live["commit"] == commit != commits[0]
