"""Branches and tags: previews, named environments, and how they go away."""

from __future__ import annotations

from scenario_support import Running
from support import eventually

STAGING = '[environments.staging]\nbranch = "stage"\n'


def first(desk, settings: str = "") -> None:
    desk.commit("first", index_html="first", **({"gitdeploy_toml": settings} if settings else {}))
    pushed = desk.push("main")
    assert pushed.ok, pushed.out


def test_a_branch_becomes_a_preview_and_goes_away_with_it(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "feature/a")
    desk.commit("draft", index_html="draft")
    pushed = desk.push("feature/a")
    assert pushed.ok, pushed.out
    assert f"feature-a--{desk.site}.localhost" in pushed.out
    assert desk.page("feature-a").text == "draft"
    assert (desk.shared.home / "sites" / desk.site / "feature-a").is_dir()

    deleted = desk.push(":feature/a")

    assert deleted.ok, deleted.out
    eventually(lambda: "feature/a" not in desk.environments)
    assert desk.page("feature-a").status == 404
    assert not (desk.shared.home / "sites" / desk.site / "feature-a").exists()
    assert not [ref for ref in desk.refs() if "feature" in ref]
    assert desk.page().text == "first"


def test_a_branch_deleted_while_its_preview_builds_leaves_nothing(desk, hold):
    first(desk)
    desk.git("checkout", "-q", "-b", "doomed")
    desk.commit("slow", gitdeploy_toml=hold.settings("doomed"))
    pushing = desk.start("push", "managed", "doomed")
    hold.arrived("doomed")
    deleted = desk.push(":doomed")
    assert deleted.ok, deleted.out
    pushing.end()
    eventually(lambda: desk.environments == ["production"])
    assert desk.builds[0]["state"] == "canceled"
    assert desk.page("doomed").status == 404
    assert not [ref for ref in desk.refs() if "doomed" in ref]


def test_a_preview_may_be_rewritten_and_production_may_not(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("one", index_html="one")
    assert desk.push("draft").ok
    desk.git("commit", "-q", "--amend", "-m", "one, better")
    desk.commit("two", index_html="two")
    assert not desk.push("draft").ok
    forced = desk.push("--force", "draft")
    assert forced.ok, forced.out
    assert desk.page("draft").text == "two"

    desk.git("checkout", "-q", "main")
    desk.git("commit", "-q", "--amend", "-m", "another first")
    before = desk.state()
    refused = desk.push("--force", "main")
    assert refused.code == 1
    assert "main only moves forward" in refused.out
    assert "HEAD:rollback/previous" in refused.out
    deleted = desk.push(":main")
    assert deleted.code == 1
    assert "cannot be deleted" in deleted.out
    assert desk.state() == before


def test_a_failed_preview_leaves_the_last_good_one(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("good", index_html="good")
    assert desk.push("draft").ok
    commit = desk.commit("broken", gitdeploy_toml='[build]\ncommand = "echo no; exit 4"\noutput = "out"\n')
    pushed = desk.push("draft")
    assert pushed.code == 0
    assert "remote: no " in pushed.out and "exit 4" in pushed.out
    assert desk.refs()["refs/heads/draft"] == commit
    assert desk.page("draft").text == "good"
    assert desk.builds[0]["state"] == "failed"


def test_a_named_environment_follows_its_branch(desk):
    first(desk, STAGING)
    desk.git("checkout", "-q", "-b", "stage")
    desk.commit("candidate", index_html="candidate")
    pushed = desk.push("stage")
    assert pushed.ok, pushed.out
    assert desk.page("staging").text == "candidate"
    assert desk.page("stage").status == 404
    assert desk.environments == ["staging", "production"]
    desk.git("commit", "-q", "--amend", "-m", "rewritten")
    refused = desk.push("--force", "stage")
    assert refused.code == 1
    assert "stage only moves forward" in refused.out
    assert "-o env=staging" in refused.out
    assert desk.push(":stage").code == 1


def test_a_gated_environment_moves_its_branch_only_with_its_release(desk):
    first(desk, STAGING + "gate = true\n")
    desk.git("checkout", "-q", "-b", "stage")
    good = desk.commit("candidate", index_html="candidate")
    assert desk.push("stage").ok
    desk.write("gitdeploy.toml", STAGING + 'gate = true\n[build]\ncommand = "exit 4"\noutput = "out"\n')
    desk.commit("broken")
    failed = desk.push("stage")
    assert failed.code == 1
    assert "[remote rejected] stage -> stage" in failed.out
    assert desk.refs()["refs/heads/stage"] == good
    assert desk.page("staging").text == "candidate"
    undone = desk.push("-o", "env=staging", "HEAD:rollback/previous")
    assert undone.code == 1 and "no earlier good release" in undone.out


def test_production_without_a_gate_is_accepted_first_and_built_after(desk):
    first(desk, "[production]\ngate = false\n")
    broken = '[production]\ngate = false\n[build]\ncommand = "exit 4"\noutput = "out"\n'
    commit = desk.commit("broken", gitdeploy_toml=broken)
    pushed = desk.push("main")
    assert pushed.code == 0
    assert desk.refs()["refs/heads/main"] == commit
    assert desk.page().text == "first"
    desk.commit("mended", index_html="mended", gitdeploy_toml="[production]\ngate = false\n")
    assert desk.push("main").ok
    assert desk.page().text == "mended"


def test_a_preview_becomes_the_environment_that_gets_its_name(desk):
    first(desk)
    assert desk.push("main:staging").ok
    assert [one["kind"] for one in desk.facts("environments") if one["name"] == "staging"] == ["preview"]
    desk.commit("rules", index_html="rules", gitdeploy_toml='[environments.staging]\nbranch = "staging"\n')
    assert desk.push("main").ok
    assert desk.push("main:staging").ok
    (staging,) = [one for one in desk.facts("environments") if one["name"] == "staging"]
    assert (staging["kind"], staging["branch"], staging["expires_at"]) == ("named", "staging", None)
    assert desk.page("staging").text == "rules"


def test_an_environment_that_is_no_longer_named_is_the_preview_of_its_branch(desk):
    """Where it was: its address is the same, and so is what it serves."""
    first(desk, STAGING)
    assert desk.push("main:stage").ok

    def staging() -> dict:
        return {one["name"]: one for one in desk.facts("environments")}["staging"]

    assert staging()["kind"] == "named"
    desk.commit("rules", index_html="rules", gitdeploy_toml=STAGING.replace("stage", "other"))
    assert desk.push("main").ok
    assert staging()["kind"] == "named"
    desk.commit("none", index_html="none", gitdeploy_toml="[preview]\n")
    assert desk.push("main").ok
    eventually(lambda: staging()["kind"] == "preview", seconds=30)
    assert desk.page("staging").text == "first"
    assert staging()["expires_at"] is None
    pushed = desk.push("main:stage")
    assert pushed.ok and f"staging--{desk.site}.localhost" in pushed.out, pushed.out
    assert desk.page("staging").text == "none" and desk.page("stage").status == 404
    assert staging()["expires_at"] is not None
    desk.commit("back", index_html="back", gitdeploy_toml=STAGING)
    assert desk.push("main").ok
    assert desk.push("main:stage").ok
    assert (staging()["kind"], staging()["expires_at"]) == ("named", None)
    assert desk.page("staging").text == "back"
    desk.commit("gone", index_html="gone", gitdeploy_toml="[preview]\n")
    assert desk.push("main").ok
    assert desk.push(":stage").ok
    eventually(lambda: desk.environments == ["production"])
    assert desk.page("staging").status == 404


def test_one_whose_branch_is_gone_too_is_left_until_somebody_removes_it(desk):
    """No push deletes the branch of an environment: somebody did it in the repository itself."""
    first(desk, STAGING)
    assert desk.push("main:stage").ok
    desk.git("-C", str(desk.repository), "update-ref", "-d", "refs/heads/stage")
    desk.commit("none", gitdeploy_toml="[preview]\n")
    assert desk.push("main").ok
    assert desk.page("staging").text == "first"
    desk.shared.cli("preview", "remove", desk.site, "staging")
    assert desk.environments == ["production"]


def test_a_lock_stops_environments_and_not_previews(desk):
    first(desk, STAGING)
    desk.shared.ask(f"/sites/{desk.site}/lock", "PUT", {"reason": "an incident"})
    desk.commit("draft", index_html="draft")
    preview = desk.push("HEAD:refs/heads/feature")
    assert preview.ok and "locked" not in preview.out, preview.out
    assert desk.page("feature").text == "draft"
    staging = desk.push("HEAD:refs/heads/stage")
    assert staging.ok and "an incident" in staging.out, staging.out
    assert desk.page("staging").status == 404
    production = desk.push("main")
    assert production.code == 1 and "an incident" in production.out
    assert desk.page().text == "first"


def test_a_branch_named_like_an_environment_does_not_reach_it(desk):
    """`production` and `staging` are served from main and stage: a preview of that name is nobody's way in."""
    first(desk, STAGING)
    desk.git("checkout", "-q", "-b", "stage")
    desk.commit("candidate", index_html="candidate")
    assert desk.push("stage").ok
    desk.git("remote", "add", "dev", desk.as_actor("dev", "developer"))
    desk.commit("mine", index_html="mine")
    before = desk.state()
    for name in ("production", "staging"):
        pushed = desk.push(f"HEAD:refs/heads/{name}", remote="dev")
        assert pushed.code == 1, pushed.out
        assert "environment" in pushed.out
    assert desk.state() == before
    assert desk.page("staging").text == "candidate"


def test_the_production_branch_may_have_another_name(shared, tmp_path):
    desk = shared.new_site(tmp_path / "project", branch="trunk")
    desk.commit("first", index_html="first", gitdeploy_toml='[production]\nbranch = "trunk"\n')
    pushed = desk.push("trunk")
    assert pushed.ok, pushed.out
    assert desk.page().text == "first"
    assert desk.push("trunk:main").ok
    assert desk.page("main").text == "first"


def test_what_a_preview_says_of_branches_does_not_count_before_it_is_live(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "takeover")
    desk.commit("mine", index_html="mine", gitdeploy_toml='[production]\nbranch = "takeover"\n')
    assert desk.push("takeover").ok
    assert desk.page().text == "first"
    assert desk.page("takeover").text == "mine"


def test_branches_that_get_no_preview_are_stored_and_say_so(desk):
    first(desk, '[preview]\nbranches = ["feature/**"]\n')
    pushed = desk.push("main:wip")
    assert pushed.ok, pushed.out
    assert "gets no preview" in pushed.out
    assert desk.environments == ["production"]
    assert desk.push("main:feature/x").ok
    assert "feature/x" in desk.environments


def test_tags_are_stored_moved_and_removed(desk):
    first(desk)
    desk.git("tag", "v1")
    desk.git("tag", "-a", "-m", "two", "v2")
    built = desk.built
    assert desk.push("--tags").ok
    assert {"refs/tags/v1", "refs/tags/v2"} <= set(desk.refs())
    assert desk.built == built
    desk.commit("second", index_html="second")
    desk.git("tag", "-f", "v1")
    assert desk.push("--force", "v1").ok
    assert desk.refs()["refs/tags/v1"] == desk.git("rev-parse", "HEAD")
    assert desk.push(":v2").ok
    assert "refs/tags/v2" not in desk.refs()
    assert desk.page().text == "first"


def test_branches_that_differ_only_in_case_have_previews_of_their_own(desk):
    first(desk)
    twin = desk.push("main:Main")
    assert twin.code == 1
    assert "differs from the production branch main only in case" in twin.out
    desk.git("checkout", "-q", "-b", "Feature")
    desk.commit("upper", index_html="upper")
    assert desk.push("Feature").ok
    desk.commit("lower", index_html="lower")
    assert desk.push("HEAD:refs/heads/feature").ok
    urls = {one["name"]: one["url"] for one in desk.facts("environments")}
    hosts = {name: url.removeprefix("http://").partition(".")[0] for name, url in urls.items()}
    assert desk.shared.get(hosts["Feature"]).text == "upper"
    assert desk.shared.get(hosts["feature"]).text == "lower"


def test_a_preview_named_like_a_build_survives_the_collection(desk):
    first(desk)
    assert desk.push("main:bld-fix").ok
    (url,) = [one["url"] for one in desk.facts("environments") if one["name"] == "bld-fix"]
    label = url.removeprefix("http://").partition(".")[0]
    assert desk.shared.get(label).text == "first"
    desk.shared.ask("/gc", "POST")
    assert desk.shared.get(label).text == "first"


def test_the_same_tree_is_never_built_twice(desk):
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    desk.commit("two", index_html="two")
    assert desk.push("main").ok
    assert desk.built == 2
    desk.git("revert", "--no-edit", "HEAD")
    reverted = desk.push("main")
    assert "reused" in reverted.out
    assert desk.page().text == "one"
    desk.git("checkout", "-q", "-b", "side")
    desk.commit("three", index_html="three")
    assert desk.push("side").ok
    assert desk.built == 3
    desk.git("checkout", "-q", "main")
    desk.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert desk.push("main").ok
    assert desk.page().text == "three"
    assert desk.push("main:again").ok
    assert desk.page("again").text == "three"
    assert desk.push(":side").ok
    assert desk.push("main:side").ok
    assert desk.built == 3
    assert sum(one["state"] == "built" and one["reused_from"] is None for one in desk.builds) == 3


def fill(desk, hold) -> list[Running]:
    """Two builds that take the places there are, until `hold` frees them."""
    running = []
    for name in ("fill1", "fill2"):
        desk.git("checkout", "-q", "-B", name, "main")
        desk.commit(name, gitdeploy_toml=hold.settings(f"{desk.site}-{name}"))
        running.append(desk.start("push", "managed", name))
        hold.arrived(f"{desk.site}-{name}")
    return running


def test_the_newest_push_supersedes_what_still_waits(desk, hold):
    first(desk)
    running = fill(desk, hold)
    desk.git("checkout", "-q", "-b", "busy", "main")
    for number in (1, 2, 3):
        desk.commit(f"try {number}", gitdeploy_toml=hold.settings(f"{desk.site}-try{number}"))
        running.append(desk.start("push", "managed", "busy"))
        running[-1].says("waiting")
    for name in ("fill1", "fill2", "try3"):
        hold.free(f"{desk.site}-{name}")
    for one in running:
        assert one.end().code == 0
    eventually(lambda: desk.page("busy").text == f"{desk.site}-try3\n")
    states = {one["subject"]: one["state"] for one in desk.builds}
    assert states["try 1"] == states["try 2"] == "superseded"
    assert states["try 3"] == "built"
    assert not hold.began(f"{desk.site}-try1") and not hold.began(f"{desk.site}-try2")


def test_a_superseded_build_is_still_made_for_another_branch(desk, hold):
    first(desk)
    running = fill(desk, hold)
    desk.git("checkout", "-q", "-b", "one", "main")
    desk.commit("shared", gitdeploy_toml=hold.settings(f"{desk.site}-shared"))
    running.append(desk.start("push", "managed", "one"))
    running[-1].says("waiting")
    running.append(desk.start("push", "managed", "one:two"))
    running[-1].says("following it")
    desk.commit("newer", gitdeploy_toml=hold.settings(f"{desk.site}-newer"))
    running.append(desk.start("push", "managed", "one"))
    running[-1].says("waiting")
    for name in ("fill1", "fill2", "shared", "newer"):
        hold.free(f"{desk.site}-{name}")
    for one in running:
        assert one.end().code == 0
    eventually(lambda: desk.page("one").text == f"{desk.site}-newer\n")
    eventually(lambda: desk.page("two").text == f"{desk.site}-shared\n")
