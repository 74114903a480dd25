"""What every driver promises to those who push apps, asked of each of them in the same words.

A test leaves a well release live in production; what was pushed in vain it takes out of the branch again.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import threading
import time

import pytest
from nodes import DISK
from stage import SECRET, STOP_TIMEOUT, Stage
from support import GITDEPLOY, eventually
from terminal import Terminal
from visits import Load

CUT = 2 * STOP_TIMEOUT + 5
"""Seconds after a push, at most, when who still waits for what was replaced is cut off."""
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z r\d+ (\S+) [|*] (.*)")


@pytest.fixture
def shop(stage: Stage) -> Stage:
    """With something live."""
    assert stage.project
    return stage


def refused(stage: Stage, **how: bool) -> str:
    """What is said of a push that must leave everything as it was."""
    before, refs = stage.page().text, stage.project.git("ls-remote", "managed")
    stage.change("worse", **how)
    pushed = stage.project.push("main")
    stage.project.git("reset", "-q", "--hard", "HEAD~1")
    assert pushed.code == 1, pushed.out
    assert stage.page().text == before and stage.project.git("ls-remote", "managed") == refs
    return pushed.out


def listed(stage: Stage) -> list[tuple[str, str]]:
    return [(one["name"], one["state"]) for one in stage.server.facts("ps", "shop")]


def test_a_push_goes_live_with_its_configuration_after_its_release_command(shop: Stage) -> None:
    shop.shows(f"first r1 red {SECRET}")
    assert shop.roll.heard.count("release production r1") == 1
    first = [shop.roll.heard.index(f"{one} production r1") for one in ("release", "web", "worker")]
    assert first[0] == min(first)


def test_what_does_not_become_healthy_is_refused_with_its_last_lines(shop: Stage) -> None:
    ran = shop.roll.there("web"), shop.roll.there("worker")
    with Load(shop.edges, "shop.localhost", visitors=3, pause=0.05) as load:
        said = refused(shop, health=False)
    assert "The last lines of web" in said and "web says worse" in said, said
    assert not load.failed and {text for _, text in load.seen} == {"first"}, load.failed[:5]
    eventually(lambda: (shop.roll.there("web"), shop.roll.there("worker")) == ran, seconds=30)


def test_a_release_command_that_fails_refuses(shop: Stage) -> None:
    said = refused(shop, migrates=False)
    assert "The release command ended with exit code 4" in said and "release says worse" in said, said


def test_configuration_is_a_release_and_a_rollback_runs_no_release_command(shop: Stage) -> None:
    before, migrated = shop.live, sum(one.startswith("release ") for one in shop.roll.heard)
    shop.server.cli("config", "set", "shop", "COLOR=blue")
    after = shop.live
    newest = shop.server.facts("releases", "shop")[0]
    assert after != before and (newest["release"], newest["kind"]) == (after, "config")
    shop.shows(f"first {after} blue {SECRET}")
    shop.push("-o", "config=then", f"HEAD:rollback/{before}")
    shop.shows(f"first {shop.live} red")
    assert sum(one.startswith("release ") for one in shop.roll.heard) == migrated


def test_programs_are_seen_joined_and_heard_without_their_secrets(shop: Stage) -> None:
    assert listed(shop) == [("web.1", "running"), ("worker.1", "running")]
    ran = shop.server.cli(
        "run", "shop", "--", "sh", "-c", 'echo "$GITDEPLOY_RELEASE $TOKEN"; exit 7', check=False
    )
    assert (ran.returncode, ran.stdout) == (7, f"{shop.live} [redacted]\n"), ran
    follower = Terminal(*GITDEPLOY, "--home", str(shop.server.home), "logs", "-f", "shop")
    try:
        follower.shows("web says first")
        shop.page("/secret")
        follower.shows("the secret is [redacted]")
    finally:
        follower.client.terminate()
        follower.client.wait(20)
        follower.close()
    said = [LINE.fullmatch(one) for one in shop.server.cli("logs", "shop").stdout.splitlines()]
    assert all(said) and {"web.1", "worker.1", "release"} == {one[1] for one in said if one} - {"cron.1"}
    of_web = shop.server.cli("logs", "shop", "--process", "web.1").stdout
    assert "the secret is [redacted]" in of_web and "worker says" not in of_web and SECRET not in of_web


def test_a_program_that_crashes_is_started_again(shop: Stage) -> None:
    release = shop.live
    with pytest.raises((OSError, http.client.HTTPException, AssertionError)):
        assert shop.page("/crash", method="POST").status == 200
    eventually(lambda: shop.roll.heard.count(f"web production {release}") == 2)
    shop.shows(f"first {release}")
    ended = shop.server.facts("ps", "shop")
    assert [one["restarts"] for one in ended] == [1, 0] and "exit" in ended[0]["last"], ended


def test_nobody_notices_a_push_and_all_programs_move(shop: Stage) -> None:
    """Not who asks for what takes longer than the rollout either; who asks for more than `stop_timeout` is cut off."""
    old = shop.live
    cut: list[float] = []

    def stay() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            assert shop.page("/slow/90", method="POST", within=60).status >= 500
            raise ConnectionError
        cut.append(time.monotonic())

    staying = threading.Thread(target=stay)
    staying.start()
    shop.change("second")
    with Load(shop.edges, "shop.localhost", visitors=6, slow="/slow/3", pause=0.05) as load:
        shop.push()
        pushed = time.monotonic()
        new = [shop.live]
        eventually(lambda: shop.roll.there("web") == shop.roll.there("worker") == new, seconds=30)
    assert not load.failed and {text for _, text in load.seen} == {"first", "second"}, load.failed[:5]
    assert old not in shop.roll.there("web")
    staying.join()
    assert cut[0] - pushed < CUT


def test_scaling_holds_over_the_next_push(shop: Stage) -> None:
    shop.server.cli("scale", "shop", "web=2", "worker=0")
    two = [("web.1", "running"), ("web.2", "running")]
    eventually(lambda: listed(shop) == two)
    eventually(lambda: (len(shop.roll.there("web")), shop.roll.there("worker")) == (2, []))
    shop.change("third")
    shop.push()
    assert listed(shop) == two
    new = [shop.live] * 2
    eventually(lambda: (shop.roll.there("web"), shop.roll.there("worker")) == (new, []))
    assert shop.server.cli("scale", "shop", "wbe=2", check=False).returncode == 2
    shop.server.cli("scale", "shop", "web=1", "worker=1")


def test_a_preview_runs_by_itself_and_ends_with_its_branch(shop: Stage) -> None:
    shop.change("tried")
    shop.push("HEAD:try")
    shop.project.git("reset", "-q", "--hard", "HEAD~1")
    shop.shows("tried r", "try")
    assert "red" not in shop.page(label="try").text and not shop.page().text.startswith("tried")
    assert len(shop.roll.there("web", "try")) == len(shop.roll.there("worker", "try")) == 1
    shop.push("--delete", "try")
    eventually(lambda: not shop.roll.there("web", "try") + shop.roll.there("worker", "try"), seconds=30)
    eventually(lambda: shop.page(label="try").status >= 400)
    assert len(shop.roll.there("web")) == 1


def test_scheduled_commands_run_with_what_is_live_and_not_in_previews(shop: Stage) -> None:
    wanted = f"cron production {shop.live}"
    eventually(lambda: wanted in shop.roll.heard, seconds=75)
    eventually(lambda: "| cron says" in shop.server.cli("logs", "shop", "--process", "cron.1").stdout)
    assert not [one for one in shop.roll.heard if one.startswith("cron try")]


def test_the_doctor_names_the_node_whose_disk_is_full(shop: Stage) -> None:
    if shop.driver == "local":
        assert any(one["name"] == "disk" for one in shop.server.facts("doctor"))
        return
    (node,) = shop.nodes

    def told() -> tuple[str, str]:
        said = json.loads(shop.server.cli("doctor", "--json", check=False).stdout)
        return next((one["level"], one["said"]) for one in said if one["name"] == "node disks")

    level, said = told()
    assert level == "ok" and f"of the disk of {node.name}" in said, said
    filler = node.folder / "data/filler"
    try:
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(filler.parent).free - DISK // 50)
        level, said = told()
        assert level == "problem" and re.fullmatch(
            rf"[0-2]\.\d % of the disk of {node.name} is free\.", said
        ), said
    finally:
        filler.unlink()


def test_the_engine_shows_configuration_and_no_secret(shop: Stage) -> None:
    for node in shop.nodes:
        said = [one.attrs for one in node.client.services.list() if one.name == "shop-production-web"]
        assert "COLOR=" in str(said) and "s3cret" not in str(said)


def test_what_only_one_machine_gives_is_refused_on_the_swarm(shop: Stage) -> None:
    """The precise differences, each with what to do instead; where one machine runs all, they are no differences."""
    if shop.driver == "local":
        one = Terminal(*GITDEPLOY, "--home", str(shop.server.home), "console", "shop", "--", "echo let in")
        one.shows("let in")
        assert one.code() == 0
        one.close()
        return
    one = Terminal(*GITDEPLOY, "--home", str(shop.server.home), "console", "shop")
    one.shows("runs on the swarm, where this cannot be done yet")
    one.shows("gitdeploy run shop -- COMMAND")
    assert one.code() == 2
    one.close()
    refused = shop.server.cli("preview", "protect", "shop", "production", stdin="sesame\n", check=False)
    assert refused.returncode == 2 and "whose edge keeps nobody out" in refused.stderr, refused
    for settings, said in (
        ('[data]\nfiles = ["uploads"]\n', "uploads would lie on one node of the swarm"),
        ('[data]\ndatabases = ["sqlite:shop.db"]\n', "would lie on one node of the swarm"),
    ):
        shop.change("kept here", settings=settings)
        pushed = shop.project.push("main")
        shop.project.git("reset", "-q", "--hard", "HEAD~1")
        assert pushed.code == 1 and said in pushed.out, pushed.out
