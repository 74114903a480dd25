"""A rollback of production writes its own incident, and the incident is over when its gate says so."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest
from scenario_support import STATIC
from support import GITDEPLOY
from terminal import Terminal


@pytest.fixture
def broken(desk):
    """A good release, a bad one on top of it, rolled back; `broken.bad` is the commit that did it."""
    desk.good = desk.commit("First page", index_html="good", gitdeploy_toml=STATIC)
    assert desk.push("main").ok
    desk.bad = desk.commit("New header\n\nwith \x1b[31mcolour", index_html="bad", new_txt="new")
    assert desk.push("main").ok
    desk.said = desk.push("-o", "reason=checkout is \x1b[31mbroken", "HEAD:rollback/previous")
    assert desk.said.ok, desk.said.out
    return desk


def shown(desk, number: str = "") -> dict:
    return desk.facts("incident" + (f"?number={number}" if number else ""))


def ticked(desk) -> list[str]:
    return [box["name"] for box in shown(desk)["gate"] if box["ticked"]]


def cli(desk, *words: str, stdin: str = ""):
    verb, *rest = words
    return desk.shared.cli("incident", verb, desk.site, *rest, stdin=stdin, check=False)


def test_the_note_begins_with_what_is_known(broken):
    desk = broken
    assert "incident 1 is open" in desk.said.out and "Fixes incident 1" in desk.said.out, desk.said.out
    found = shown(desk)
    assert (found["state"], found["rollbacks"], found["rejected"]) == ("open", ["r3"], ["r2"])
    assert ticked(desk) == ["restored", "database"]
    facts = found["facts"]
    assert "r2 was rolled back to r1" in facts
    assert f'{desk.bad[:7]} "New header"' in facts and f'{desk.good[:7]} "First page"' in facts
    assert re.search(r"deployed by +maya \(deploy\)", facts) and re.search(
        r"rolled back by +maya, as r3", facts
    )
    assert "checkout is \N{REPLACEMENT CHARACTER}[31mbroken" in facts
    assert f"{desk.good[:7]}..{desk.bad[:7]}:\n  {desk.bad[:7]} New header\n" in facts
    assert "M index.html\n  A new.txt" in facts and "The last that" not in facts
    for question in ("What happened:", "Root cause:", "Resolution:", "Action items:"):
        assert question in found["text"]
    done = cli(desk, "show")
    assert "[x] restored" in done.stdout and "[ ] verified" in done.stdout and "\x1b" not in done.stdout


def test_rolling_back_twice_in_a_row_is_one_incident(broken):
    desk = broken
    cli(desk, "edit", "--tick", "verified")
    commit = desk.commit("Third", index_html="third")
    assert desk.push("main").ok
    assert desk.push("HEAD:rollback/previous").ok
    found = shown(desk)
    assert found["number"] == 2 and found["also_open"] == [1]
    assert desk.push("HEAD:rollback/r3").ok, "the same files again are no rollback to speak of"
    assert len(shown(desk)["rollbacks"]) == 1
    assert desk.push("HEAD:rollback/r4").ok
    assert "went forward again" in shown(desk)["facts"]
    assert desk.push("HEAD:rollback/previous").ok
    found = shown(desk)
    assert (found["number"], found["rollbacks"], found["rejected"]) == (2, ["r5", "r7", "r8"], ["r4", "r7"])
    assert found["facts"].count(f"{commit[:7]} Third\n") == 2
    assert "verified" not in ticked(desk)


def test_it_stays_open_until_the_fix_is_live_and_people_have_said_their_part(broken):
    desk = broken
    refused = cli(desk, "close")
    assert refused.returncode == 5
    assert all(name in refused.stderr for name in ("verified", "documented", "fix")), refused.stderr
    assert "database" not in refused.stderr

    desk.git("checkout", "-q", "-b", "mend")
    desk.commit("Header again, fixes incident 1", index_html="mended")
    pushed = desk.push("mend")
    assert "incident 1: its fix is queued" in pushed.out, pushed.out
    assert "fix" in ticked(desk)
    refused = cli(desk, "close")
    assert "queued and not live yet" in refused.stderr and refused.returncode == 5

    desk.git("checkout", "-q", "main")
    desk.git("merge", "-q", "--ff-only", "mend")
    pushed = desk.push("main")
    assert "incident 1: its fix is live" in pushed.out, pushed.out
    assert "still to do: verified (" in pushed.out
    assert f"gitdeploy incident edit {desk.site} 1 --tick verified --tick documented" in pushed.out
    assert shown(desk)["fixed_by"] == "r5" and shown(desk)["state"] == "open"

    assert cli(desk, "close").returncode == 5
    assert cli(desk, "edit", "1", "--tick", "verfied").returncode == 2
    done = cli(desk, "edit", "1", "--tick", "verified", "--tick", "documented")
    assert "gitdeploy incident close" in done.stderr, done.stderr
    assert cli(desk, "close").returncode == 0
    assert shown(desk)["state"] == "closed"
    assert cli(desk, "close", "1").returncode == 0


def test_it_closes_by_itself_when_the_revert_is_live_and_all_else_is_done(broken):
    desk = broken
    cli(desk, "edit", "--tick", "verified", "--tick", "documented")
    desk.git("revert", "--no-edit", desk.bad)
    pushed = desk.push("main")
    assert "incident 1 is closed" in pushed.out, pushed.out
    assert shown(desk)["closed_by"] == "gitdeploy"


def test_a_person_may_say_that_there_is_nothing_to_wait_for(broken):
    for name in ("verified", "documented", "fix"):
        assert cli(broken, "edit", "--tick", name).returncode == 0
    assert cli(broken, "close").returncode == 0


def test_the_note_is_written_from_standard_input_and_never_over_somebody_elses(broken):
    desk = broken
    was = shown(desk)["text"]
    assert cli(desk, "edit", stdin="What happened: a typo\x1b[2J\r\n").returncode == 0
    assert shown(desk)["text"] == "What happened: a typo\N{REPLACEMENT CHARACTER}[2J\n"
    assert cli(desk, "edit").returncode == 2
    token = desk.shared.admin
    body = {"text": "mine", "was": was}
    assert desk.shared.api(f"/v1/sites/{desk.site}/incident", token, "PATCH", body).status == 409
    viewer = desk.shared.secret("vera", "viewer", desk.site)
    assert desk.shared.api(f"/v1/sites/{desk.site}/incident", viewer).status == 403
    assert cli(desk, "show", "7").returncode == 3


def test_the_note_is_written_in_an_editor_where_a_person_sits(broken, tmp_path):
    """The editor has the terminal and the text; what it leaves behind is the note, unless it fails."""
    desk = broken

    def edited(script: str) -> Terminal:
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\ntest -t 0 && test -t 1 || exit 3\n{script}\n")
        editor.chmod(0o755)
        words = [*GITDEPLOY, "--home", str(desk.shared.home), "incident", "edit", desk.site]
        return Terminal(*words, EDITOR=str(editor), VISUAL="")

    was = shown(desk)["text"]
    one = edited('read line; sed -i "s/^What happened:.*/& $line/" "$1"')
    one.type("a typo in the header\r")
    one.shows("incident 1 of")
    one.shows("is written")
    assert one.code() == 0
    text = shown(desk)["text"]
    assert text == was.replace("What happened:", "What happened: a typo in the header") != was
    left = edited("exit 0")
    assert left.code() == 0 and shown(desk)["text"] == text
    failed = edited('echo lost > "$1"; exit 1')
    assert failed.code() == 1 and shown(desk)["text"] == text
    late = edited('echo "what I wrote" > "$1"; echo at it; read line')
    late.shows("at it")
    assert cli(desk, "edit", stdin="somebody else was faster\n").returncode == 0
    late.type("\r")
    late.shows("what I wrote")  # it is not lost
    assert late.code() == 4
    assert shown(desk)["text"] == "somebody else was faster\n"
    for terminal in (one, left, failed, late):
        terminal.close()


def test_a_note_that_cannot_be_written_stops_no_rollback(broken):
    desk = broken
    desk.commit("Third", index_html="third")
    assert desk.push("main").ok
    desk.shared.kill()
    ledger = desk.shared.home / "ledger.db"
    _sql(ledger, "ALTER TABLE incidents RENAME TO gone")
    try:
        desk.shared.start()
        pushed = desk.push("HEAD:rollback/previous")
        assert pushed.ok and "its incident is not written" in pushed.out, pushed.out
        assert desk.page().text == "good"
        desk.shared.kill()
    finally:
        _sql(ledger, "ALTER TABLE gone RENAME TO incidents")
    desk.shared.start()
    found = shown(desk)
    assert (found["number"], found["rejected"]) == (2, ["r4"])


def _sql(ledger, statement: str) -> None:
    with sqlite3.connect(ledger) as db:
        db.execute(statement)
    db.close()


def advice(desk) -> dict:
    done = desk.shared.cli("doctor", desk.site, "--incident", "--json")
    return json.loads(done.stdout)


def test_the_doctor_says_what_changed_and_the_one_command_to_run(desk):
    assert desk.shared.cli("doctor", desk.site, "--incident", check=False).returncode == 3
    desk.commit("First page", index_html="one", gitdeploy_toml=STATIC)
    desk.git("tag", "v1.0")
    assert desk.push("main", "v1.0").ok
    found = advice(desk)
    assert found["last_good"] is None and "nothing good to go back to" in found["answer"]
    for page in ("two", "three"):
        desk.commit(page, index_html=page)
        assert desk.push("main").ok
    desk.shared.cli("config", "set", "--build", desk.site, "COLOR=red")

    found = advice(desk)
    assert (found["last_change"], found["recent"]) == ("deploy", True)
    assert (found["live"]["release"], found["before"]["release"]) == ("r3", "r2")
    assert found["config"]["build"]["added"] == ["COLOR"]
    assert found["command"] == "git push managed HEAD:rollback/previous"
    said = desk.shared.cli("doctor", desk.site, "--incident").stdout
    assert said.endswith("\n\n    git push managed HEAD:rollback/previous\n") and "COLOR added" in said, said

    assert desk.git(*found["command"].split()[1:]) is not None
    assert desk.page().text == "two"
    found = advice(desk)
    assert (found["last_change"], found["tag"], found["incident"]) == ("rollback", "v1.0", 1)
    assert found["command"] == "git push managed HEAD:rollback/v1.0"
    assert desk.run(*found["command"].split()[1:]).ok
    assert desk.page().text == "one"
    assert desk.shared.cli("doctor", "--incident", check=False).returncode == 2
