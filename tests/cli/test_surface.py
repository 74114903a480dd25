"""The commands, fields and exit codes that scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cli_support import with_preview
from support import project_of, running

FIELDS = {
    "site": "id name remotes urls live",
    "release": "id release site env kind state mark commit subject build artifact actor reason created_at live_at "
    "ended_at undo",
    "build": "id site commit ref state reused_from artifact started_at finished_at seconds error",
    "environment": "name kind branch state release url expires_at processes",
    "event": "id at site env actor action subject data hash prev",
}


server = pytest.fixture(scope="module")(running)


@pytest.fixture(scope="module")
def blog(server, tmp_path_factory):
    """A site that is only looked at: one release and one preview."""
    return with_preview(project_of(server, tmp_path_factory.mktemp("blog")))


def test_every_object_has_its_settled_fields(server, blog):
    shown = {
        "site": server.facts("site", "show", "blog"),
        "release": server.facts("live", "blog"),
        "build": server.facts("builds", "blog")[0],
        "environment": server.facts("previews", "blog")[0],
        "event": server.facts("events")[0],
    }
    for name, fields in FIELDS.items():
        assert set(fields.split()) <= set(shown[name]), name
    assert set(shown["site"]["remotes"]) == {"http", "ssh", "path"}
    assert set(shown["site"]["live"]) == {"release", "commit", "artifact"}
    assert shown["release"]["undo"] == "git push managed HEAD:rollback/r1"


def test_ids_are_typed_and_sortable(server, blog):
    releases = server.facts("releases", "blog")
    assert all(one["id"].startswith("rel_") and len(one["id"]) == 30 for one in releases)
    assert sorted((one["id"] for one in releases), reverse=True) == [one["id"] for one in releases]
    assert server.facts("site", "show", "blog")["id"].startswith("site_")
    assert server.facts("builds", "blog")[0]["id"].startswith("bld_")
    assert server.facts("events")[0]["id"].startswith("evt_")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("releases", "nope"), 3, "There is no site 'nope'"),
        (("rollback", "blog", "r99", "--yes"), 3, "r99 is not a release of production of blog"),
        (("rollback", "blog", "--yes"), 3, "no earlier good release"),
        (("rollback", "blog", "r1", "--env", "moon", "--yes"), 3, "no environment 'moon'"),
        (("site", "create", "blog"), 4, "exists already"),
        (("site", "create", "../x"), 2, "is not a site name"),
        (("site", "remove", "blog"), 5, "--yes"),
        (("build", "show", "bld_01J00000000000000000000000"), 3, "There is no build"),
        (("live", "blog", "--at", "yesterday"), 2, "is not a time"),
        (("access", "grant", "al", "boss"), 2, "is not a role"),
        (("token", "create", "-x"), 2, "No such option"),
        (("token", "revoke", "tok_x"), 3, "There is no token"),
    ],
)
def test_a_refusal_is_one_sentence_a_next_step_and_its_exit_code(server, blog, words, code, said):
    done = server.cli(*words, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_without_a_daemon_commands_say_how_to_start_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gitdeploy", "--home", str(tmp_path), "releases", "blog"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "No gitdeploy is running" in done.stderr
    assert "gitdeploy serve" in done.stderr


def test_the_same_commands_work_from_elsewhere_with_a_token(server, blog):
    token = server.token("maya")
    url = f"http://{server.listen}"
    done = subprocess.run(
        [sys.executable, "-m", "gitdeploy", "--url", url, "--token", token, "releases", "blog", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == server.facts("releases", "blog")
    refused = subprocess.run(
        [sys.executable, "-m", "gitdeploy", "--url", url, "--token", "gd_live_wrong", "releases", "blog"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 5
    assert "This token is not known here" in refused.stderr


def test_diff_names_what_would_change(server, blog):
    found = server.facts("diff", "blog", "feature/x")
    assert (found["added"], found["changed"], found["removed"]) == ([], ["index.html"], [])


def test_a_build_is_shown_with_its_log_and_followed_by_a_prefix_of_its_id(server, blog):
    build = server.facts("builds", "blog")[0]
    assert server.facts("build", "show", build["id"][:24]) == build
    assert "a static site" in server.cli("build", "log", build["id"]).stdout
    assert "a static site" in server.cli("logs", "blog").stdout
