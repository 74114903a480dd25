"""Four doors, one engine: the same story through git, command line, API and dashboard leaves the same rows in the
ledger, and what is refused is refused in the same words.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import command_line
import pytest
from guest_book import APP, SETTINGS
from support import Project, Server, eventually
from web_support import Tab, said

from gitdeploy.errors import BY_CODE
from gitdeploy.service.release import DRY_RUN

DATES = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
ROWS = ("releases", "switches", "snapshots", "builds", "environments", "rehearsals", "events")
_MEASURED = ("bytes", "stored", "seconds", "pause", "number", "prev", "hash", "inputs")


@dataclass
class Refusal:
    """`code` is None where a door has no place for it."""

    message: str
    code: str | None


class Door:
    """Orders are `name=value`, in the words of the push options."""

    def __init__(self, server: Server, site: str, folder: Path) -> None:
        self.server = server
        self.site = site
        server.cli("site", "create", site)
        self.tokens = {name: server.token(name, role, site) for name, role in
                       (("olga", "operator"), ("dora", "developer"))}  # fmt: skip
        self.project = Project(folder, server)
        for name, token in self.tokens.items():
            self.project.git("remote", "add", name, f"http://{name}:{token}@{server.listen}/{site}.git")
        self.project.write("app.py", APP.read_text())
        self.project.write("gitdeploy.toml", SETTINGS % "sqlite:data/app.db")
        self.project.write("Procfile", "web: exec python3 app.py\nrelease: python3 app.py migrate\n")
        self.project.write("migrations", "")

    def push(self, version: str, branch: str) -> None:
        self.project.write("version", version)
        self.project.git("add", "-A")
        self.project.git("commit", "-q", "-m", version, **DATES)
        pushed = self.project.push(f"HEAD:refs/heads/{branch}", remote="olga")
        assert pushed.ok, pushed.out

    def order(self, verb: str, target: str, who: str = "olga", **options: str) -> Refusal | None:
        raise NotImplementedError

    def lock(self, reason: str) -> None:
        """git has no word for it: as on the command line."""
        words = ("lock", self.site, "--reason", reason) if reason else ("unlock", self.site)
        done = CommandLine.run(self, "olga", *words)
        assert done.returncode == 0, done.stderr

    def settled(self) -> bool:
        """Nothing goes on beside the story: what a restore replaced is captured, snapshots are proven."""
        under_way = (
            "SELECT 1 FROM switches WHERE site = :site AND phase NOT IN ('done', 'undone') "
            "UNION ALL SELECT 1 FROM snapshots WHERE site = :site AND coalesce(verified, '') = ''"
        )
        with contextlib.closing(
            sqlite3.connect(f"file:{self.server.home}/ledger.db?mode=ro", uri=True)
        ) as ledger:
            return ledger.execute(under_way, {"site": self.site}).fetchone() is None

    def rows(self) -> dict[str, list[dict[str, object]]]:
        """What the ledger holds of this site, without what no two tellings have in common."""
        known: dict[str, str] = {}
        with sqlite3.connect(f"file:{self.server.home}/ledger.db?mode=ro", uri=True) as ledger:
            ledger.row_factory = sqlite3.Row
            found = {table: [dict(row) for row in ledger.execute(
                f"SELECT * FROM {table} WHERE site = ? ORDER BY rowid", (self.site,))] for table in ROWS}  # fmt: skip
        found["events"].sort(
            key=lambda one: one["action"] == "snapshot.verified"
        )  # whenever there is time for it
        return {table: [self._plain(row, known) for row in rows] for table, rows in found.items()}

    def _plain(self, row: dict[str, object], known: dict[str, str]) -> dict[str, object]:
        def alike(found: re.Match[str]) -> str:
            kind = "order" if found[1] in ("psh", "req") else found[1] or "digest"
            return known.setdefault(found[0], f"{kind} {len(known)}")

        row = {**row, "data": bool(row["data"])} if "phase" in row else row  # sealed: which data it brings
        text = json.dumps({name: value for name, value in row.items() if name not in _MEASURED}, default=str)
        text = re.sub(r"\b(?:([a-z]{3,5})_[0-9A-Z]{26}|[0-9a-f]{64})\b", alike, text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "some time", text)
        text = re.sub(r'\b(seconds|pause|bytes|waited|took)(\\*"): ?[\d.]+', r"\1\2: 0", text)
        return json.loads(text.replace(self.site, "the-site"))


class Git(Door):
    name = "git"

    def order(self, verb: str, target: str, who: str = "olga", **options: str) -> Refusal | None:
        words = [f"{name}={value}".removesuffix("=") for name, value in options.items()]
        given = [word for one in words for word in ("-o", one.replace("_", "-", 1))]
        pushed = self.project.push(*given, f"HEAD:refs/{verb}/{target}", remote=who)
        if pushed.ok:
            return None
        reason = re.search(r"\[remote rejected\].*? \((.*)\)$", pushed.out, re.M)[1]
        if reason == "pre-receive hook declined":
            reason = re.search(r"remote:  !     (.*?) *$", pushed.out, re.M)[1]
        return None if reason == DRY_RUN else Refusal(reason, None)


class CommandLine(Door):
    name = "command"

    def run(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        there = ["--url", f"http://{self.server.listen}", "--token", self.tokens[who]]
        return command_line.run(*there, *words, stdin="", env={**os.environ, "NO_COLOR": "1"}, timeout=120)

    def order(self, verb: str, target: str, who: str = "olga", **options: str) -> Refusal | None:
        words = [verb, self.site, target]
        if verb == "snapshot":
            words, options = (
                ["snapshot", "take", self.site, "--env", target],
                {"label": options.get("reason", "")},
            )
        elif verb == "restore":
            words = ["snapshot", "restore", self.site, target]
            options = {**options, **({"yes": ""} if options.get("reason") else {})}
        given = [word for name, value in options.items() if name != "label" or value
                 for word in (f"--{name.replace('_', '-')}", value) if word]  # fmt: skip
        done = self.run(who, *words, *given)
        if done.returncode == 0:
            return None
        by_exit_code = {kind.exit_code: code for code, kind in BY_CODE.items()}
        message = re.search(r"^Error: (.*)$", done.stderr, re.M)
        assert message, done.stderr
        return Refusal(message[1], by_exit_code[done.returncode])


class Api(Door):
    name = "api"

    def order(self, verb: str, target: str, who: str = "olga", **options: str) -> Refusal | None:
        path, body = f"/v1/sites/{self.site}/{verb}", {"target": target, **options}
        if verb == "snapshot":
            path, body = (
                f"/v1/sites/{self.site}/snapshots",
                {"env": target, "label": options.get("reason", "")},
            )
        elif verb == "restore":
            path = f"/v1/sites/{self.site}/snapshots/{target}/restore"
            body = {**options, "confirm": bool(options.get("reason"))}
        body = {
            name: value if value or name in ("label", "confirm") else True for name, value in body.items()
        }
        answer = self.server.api(path, self.tokens[who], "POST", body)
        if answer.status < 300:
            return None
        error = json.loads(answer.body)["error"]
        assert answer.status == BY_CODE[error["code"]].http_status
        return Refusal(error["message"], error["code"])

    def lock(self, reason: str) -> None:
        path, method = f"/v1/sites/{self.site}/lock", "PUT" if reason else "DELETE"
        answer = self.server.api(path, self.tokens["olga"], method, {"reason": reason} if reason else None)
        assert answer.status == 200, answer.text


class Dashboard(Door):
    name = "dashboard"

    def __init__(self, server: Server, site: str, folder: Path) -> None:
        super().__init__(server, site, folder)
        self.tabs = {name: Tab(server, token) for name, token in self.tokens.items()}

    def order(self, verb: str, target: str, who: str = "olga", **options: str) -> Refusal | None:
        path, fields = f"/sites/{self.site}/{verb}", {"target": target, **options}
        fields["do"] = "check" if "dry_run" in fields else "it"
        if verb == "snapshot":
            path, fields = (
                f"/sites/{self.site}/snapshots",
                {"env": target, "label": options.get("reason", "")},
            )
        elif verb == "restore":
            path, fields = f"/sites/{self.site}/snapshots/{target}/restore", dict(options)
            fields["confirm"] = fields.get("env", "production") if options.get("reason") else ""
        fields = {
            name: value or ("" if name in ("label", "confirm") else "1") for name, value in fields.items()
        }
        answer = self.tabs[who].post(path, **fields)
        if answer.status_code < 300 and 'role="alert"' not in answer.text:
            return None
        found = re.search(r'role="alert">\s*<p><strong>(.*?)</strong>', answer.text, re.S)
        found = found or re.search(r"<h1>(.*?)</h1>", answer.text, re.S)
        codes = [code for code, kind in BY_CODE.items() if kind.http_status == answer.status_code]
        return Refusal(said(found[1]), codes[0] if codes else str(answer.status_code))

    def lock(self, reason: str) -> None:
        path = f"/sites/{self.site}/{'lock' if reason else 'unlock'}"
        assert self.tabs["olga"].post(path, reason=reason).status_code == 303


DOORS = (Git, CommandLine, Api, Dashboard)


def story(door: Door) -> list[tuple[str, Refusal | None]]:
    """What each order came to."""
    told: list[tuple[str, Refusal | None]] = []

    def order(verb: str, target: str, *, by: str = "olga", **options: str) -> None:
        came_to = door.order(verb, target, by, **options)
        eventually(door.settled)
        told.append((f"{by}: {verb} {target} {options}", came_to))

    door.push("one", "main")
    door.push("two", "next")
    order("promote", "next", reason="reviewed with Jo")
    door.push("three", "next")
    order("promote", "next", dry_run="")
    order("promote", "next", snapshot="")
    order("rollback", "previous", reason="orders get lost")
    order("snapshot", "production", reason="before the sale")
    order("restore", "s1", env="next")
    order("restore", "s1", reason="lost rows")

    order("rollback", "r99")
    order("rollback", "no/such/branch")
    order("promote", "no-such-thing")
    order("promote", "r2", env="nowhere")
    order("redeploy", "r99")
    order("snapshot", "nowhere")
    order("restore", "s99", env="next")
    order("restore", "s1")
    order("rollback", "r1", force_schema="")
    order("promote", "next", override_freeze="")
    order("promote", "next", at="yesterday")
    order("promote", "next", reason="x" * 1001)
    order("snapshot", "production", reason="x" * 201)
    order("promote", "next", by="dora")
    order("rollback", "r1", by="dora", env="next")
    order("restore", "s1", by="dora", reason="mine")
    door.lock("moving house")
    order("promote", "next")
    order("redeploy", "live")
    order("rollback", "r1", reason="although it is locked")
    door.lock("")
    return told


@pytest.fixture(scope="module")
def machine(request):
    one = Server()
    request.addfinalizer(one.destroy)
    one.start()
    return one


def test_the_same_story_through_every_door(machine, tmp_path):
    doors = [kind(machine, f"by-{kind.name}", tmp_path / kind.name) for kind in DOORS]
    with ThreadPoolExecutor(len(doors)) as pool:
        told = list(pool.map(story, doors))
    other = []
    for door, heard in zip(doors, told, strict=True):
        for (asked, first), (_, here) in zip(told[2], heard, strict=True):
            message = here.message.replace(door.site, "the-site") if here else None
            expected = first.message.replace(doors[2].site, "the-site") if first else None
            if message != expected or (here and here.code and here.code != first.code):
                other.append(f"{door.name}: {asked[:80]}: {here} instead of {first}")
    assert not other, "\n".join(other)
    done = [asked for asked, came_to in told[0] if came_to is None]
    assert len(done) == 8, done

    expected = doors[2].rows()
    assert {"deploy", "promote", "rollback", "restore"} <= {one["kind"] for one in expected["releases"]}
    assert {one["phase"] for one in expected["switches"]} == {"done"} and len(expected["snapshots"]) >= 3
    for door in doors:
        rows = door.rows()
        for table in ROWS:
            assert rows[table] == expected[table], f"{table} by {door.name}"
