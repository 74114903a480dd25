"""A preview's data becomes production's: requested, agreed to, backed up, switched, and taken back again."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from datetime import UTC, datetime

import pytest
from guest_book import Book, live_book
from support import Server, eventually


@pytest.fixture(scope="module")
def machine(postgres, mariadb):
    server = Server(settings=f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
    server.start()
    yield server
    server.destroy()


class Shop(Book):
    """A guest book whose preview `next` was filled from production, with people of every role."""

    def prepared(self) -> Shop:
        for name, role in (("dora", "developer"), ("olga", "operator"), ("otto", "operator")):
            self.project.git("remote", "add", name, self.server.remote(self.site, name, role))
        self.post("note/kept")
        self.post("file/cat.png")
        self.as_("dora", "HEAD:snapshot/production")
        self.as_("dora", "HEAD:refs/heads/next")
        self.as_("dora", "-o", "env=next", "HEAD:restore/latest")
        return self

    def as_(self, who: str, *words: str, ok: bool = True) -> str:
        pushed = self.project.push(*words, remote=who)
        assert pushed.ok is ok, pushed.out
        return pushed.out

    @property
    def next(self) -> str:
        return f"next--{self.site}"

    def request(self, who: str = "dora", *options: str) -> str:
        return re.search(r"cut_[0-9A-Z]{26}", self.as_(who, *options, "HEAD:cutover/next"))[0]

    def cutover(self, name: str = "next") -> dict:
        return self.server.facts("cutover", "show", self.site, name)

    def events(self) -> list[dict]:
        """Oldest first."""
        return self.server.facts("events", "--site", self.site)[::-1]

    def url(self) -> str:
        """Said backwards: forwards it is masked."""
        line = "python3 -c \"import os; print(os.environ['DATABASE_URL'][::-1])\""
        return self.server.cli("run", self.site, "--", line).stdout.strip()[::-1]


def shop(machine: Server, folder, database: str, settings: str = "") -> Shop:
    made = live_book(machine, folder, database, settings)
    made.__class__ = Shop
    return made.prepared()


class States:
    """What production is called while something goes on."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen: set[str] = set()

    def __enter__(self) -> States:
        self._token = self._book.server.token("watcher", "viewer", self._book.site)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            page = self._book.server.api(f"/v1/sites/{self._book.site}/environments", self._token)
            self.seen |= {one["state"] for one in json.loads(page.body) if one["name"] == "production"}


def test_a_cutover_from_the_request_to_its_undoing_by_git_alone(machine, tmp_path):
    book = shop(machine, tmp_path, "postgres")
    url = book.url()
    book.post("note/prepared", book.next)
    book.post("file/dog.png", book.next)
    book.post("note/meanwhile")

    said = book.as_("dora", "-o", "reason=the cleaned import", "HEAD:cutover/next")
    row = book.cutover()
    assert row["state"] == "open" and row["requester"] == "dora" and row["id"] in said
    assert row["customer_note"] == "the cleaned import"
    assert "changed since s1" in said and "postgres/notes 1 -> 2" in said and "names no ticket" in said
    assert f"{row['id']} for the preview next is open already" in book.as_(
        "dora", "HEAD:cutover/next", ok=False
    )
    assert "needs operator" in book.as_("dora", f"HEAD:approve/{row['id']}", ok=False)

    assert "names no ticket" in book.as_("olga", f"HEAD:approve/{row['id']}")
    assert book.cutover()["state"] == "acked" and book.cutover()["decided_by"] == "olga"
    assert "needs operator" in book.as_("dora", "-o", "ticket=SUP-7", "HEAD:cutover/next", ok=False)
    assert "names no ticket" in book.as_("olga", "HEAD:cutover/next", ok=False)
    assert book.page() == "one kept,meanwhile cat.png"

    with States(book) as states:
        said = book.as_("otto", "-o", "ticket=SUP-7", "HEAD:cutover/next")
    assert states.seen == {"ready", "restoring"}
    assert book.page() == "one kept,prepared cat.png,dog.png"
    row = book.cutover()
    assert (row["state"], row["run_by"], row["external_ticket_ref"]) == ("completed", "otto", "SUP-7")
    backup = book.server.facts("snapshot", "show", book.site, f"pre-cutover-{row['id']}")
    assert backup["snapshot"] == row["backup"] and backup["verified"]["rows"] == 2 and backup["pinned"]
    assert f"HEAD:restore/{row['backup']}" in said

    # The same address leads to the new data; the preview is still there, and apart.
    assert book.url() == url
    lines = subprocess.run(
        ["psql", url, "-AtqXc", "SELECT text FROM notes ORDER BY id"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert lines.split() == ["kept", "prepared"]
    book.post("note/mine", book.next)
    assert book.page(book.next) == "one kept,prepared,mine cat.png,dog.png"
    assert book.page() == "one kept,prepared cat.png,dog.png"

    events = [one for one in book.events() if one["subject"] == row["id"]]
    assert [one["action"] for one in events] == [
        "cutover.requested", "cutover.acked", "cutover.promote_started", "production_overwrite_restore",
        "cutover.completed",
    ]  # fmt: skip
    assert events[3]["data"]["backup"] == backup["id"]
    told = [one for one in book.events() if one["action"] in ("restore.completed", "job.completed")]
    assert [one["data"]["target_kind"] for one in told] == ["preview", "preview", "project", "project"]

    # Undone: looked at in a preview first.
    book.as_("dora", "HEAD:refs/heads/look")
    book.as_("dora", "-o", "env=look", f"HEAD:restore/pre-cutover-{row['id']}")
    assert book.page(f"look--{book.site}") == "one kept,meanwhile cat.png"
    book.as_("olga", "-o", "reason=the import was not clean", f"HEAD:restore/{row['backup']}")
    assert book.page() == "one kept,meanwhile cat.png" and book.url() == url


@pytest.mark.soak
def test_a_cutover_is_held_to_its_rehearsal_on_mariadb(machine, tmp_path):
    book = shop(machine, tmp_path, "mariadb", '[production]\nrehearse = ["cutover"]\n')
    url = book.url()
    book.post("note/prepared", book.next)
    book.post("note/meanwhile")
    cli = ("cutover", "run", book.site, "next", "--yes", "--ticket", "SUP-8")
    found = book.server.facts("cutover", "run", book.site, "next", "--rehearse")
    assert found["findings"]["databases"]["mariadb"]["tables"] == {"notes": [2, 2]}
    assert found["findings"]["lost"] == {"since": "s1", "tables": {"mariadb/notes": [1, 2]}}
    assert found["pause"] > 0 and book.page() == "one kept,meanwhile cat.png"
    row = book.server.facts("cutover", "request", book.site, "next", "--note", "new prices")
    assert row["state"] == "open" and row["customer_note"] == "new prices"
    book.server.cli("cutover", "ack", book.site, row["id"])

    book.post("note/late", book.next)  # the preview is not what was rehearsed any more
    refused = book.server.cli(*cli, check=False)
    assert refused.returncode == 5 and "the preview's mariadb/notes was 2 rows" in refused.stderr
    assert book.cutover()["state"] == "acked"
    book.post("note/unseen")  # production's rows may change
    book.server.cli("cutover", "run", book.site, "next", "--rehearse")
    assert "live: r" in book.server.cli(*cli).stderr
    assert book.page() == "one kept,prepared,late cat.png" and book.url() == url
    row = book.cutover()
    assert row["state"] == "completed" and row["rehearsal"].startswith("reh_")
    book.server.cli("snapshot", "restore", book.site, row["backup"], "--yes")
    assert book.page() == "one kept,meanwhile,unseen cat.png"


@pytest.fixture(scope="module")
def small(machine, tmp_path_factory):
    """What is refused leaves this as it is."""
    return shop(
        machine, tmp_path_factory.mktemp("small"), "sqlite:data/app.db", "[production]\ntwo_person = true\n"
    )


def test_whoever_asks_is_not_who_agrees(small):
    row = small.request("olga", "-o", "ticket=SUP-9")
    assert "two_person wants somebody else" in small.as_("olga", f"HEAD:approve/{row}", ok=False)
    small.as_("otto", f"HEAD:approve/{row}")
    assert "two_person wants somebody else" in small.as_("olga", "HEAD:cutover/next", ok=False)
    assert small.cutover(row)["state"] == "acked"
    small.as_("olga", "-o", "reason=not needed", f"HEAD:cancel/{row}")
    assert small.cutover(row)["state"] == "canceled" and small.cutover(row)["reason"] == "not needed"


def test_a_request_has_limits_and_ends(small):
    token = small.server.token("dora")

    def ask(body: dict, path: str = "", of: str = small.site) -> tuple[int, dict]:
        page = small.server.api(f"/v1/projects/{of}/cutover-requests{path}", token, "POST", body)
        return page.status, json.loads(page.body)

    wish = {"preview_id": "next", "customer_note": "ü" * 1000, "external_ticket_ref": "x" * 120}
    assert ask({**wish, "customer_note": "x" * 1001})[0] == 422
    assert ask({**wish, "external_ticket_ref": "x" * 121})[0] == 422
    assert "121 characters" in small.as_("dora", "-o", f"ticket={'x' * 121}", "HEAD:cutover/next", ok=False)
    id = small.server.facts("site", "show", small.site)["id"]
    status, row = ask(wish, of=id)
    assert status == 200 and row["state"] == "open" and row["preview_id"] == "next"
    assert ask(wish)[0] == 409
    assert "with a reason" in small.as_("olga", f"HEAD:reject/{row['id']}", ok=False)
    small.as_("olga", "-o", "reason=after the holidays", f"HEAD:reject/{row['id']}")
    ended = small.cutover(row["id"])
    assert ended["state"] == "rejected" and ended["reason"] == "after the holidays"
    assert "is rejected and cannot become acked" in small.as_("otto", f"HEAD:approve/{row['id']}", ok=False)
    assert ask({}, f"/{row['id']}/run")[0] == 403
    assert "is no preview" in small.as_("dora", "HEAD:cutover/production", ok=False)
    assert "no environment 'nowhere'" in small.as_("dora", "HEAD:cutover/nowhere", ok=False)
    assert "goes to production" in small.as_("dora", "-o", "env=next", "HEAD:cutover/next", ok=False)


def test_production_restored_by_its_kind_needs_a_confirmation_and_an_operator(small):
    def restore(who: str, body: dict) -> tuple[int, dict]:
        path = f"/v1/sites/{small.site}/snapshots/s1/restore"
        page = small.server.api(path, small.server.token(who), "POST", body)
        return page.status, json.loads(page.body)

    assert restore("olga", {"target_kind": "project"})[0] == 403
    assert restore("dora", {"target_kind": "project", "confirm": True})[0] == 403
    assert restore("olga", {"target_kind": "preview", "confirm": True})[0] == 422
    status, made = restore("olga", {"target_kind": "project", "confirm": True})
    assert status == 200 and made["kind"] == "restore" and made["env"] == "production"


@pytest.mark.soak
def test_a_cutover_that_fails_leaves_production_and_stays_failed(machine, tmp_path):
    book = shop(machine, tmp_path, "postgres", '[health]\ntimeout = "3s"\n')
    book.project.git("checkout", "-q", "-b", "next")
    book.write("two", "ALTER TABLE notes RENAME COLUMN text TO words")
    book.project.write(
        "app.py", (book.project.folder / "app.py").read_text().replace("SELECT text", "SELECT words")
    )
    book.project.commit("other words")
    book.as_("dora", "next")
    row = book.request("dora", "-o", "ticket=SUP-1")
    book.as_("olga", f"HEAD:approve/{row}")
    refused = book.as_("olga", "HEAD:cutover/next", ok=False)
    assert "column notes.text was dropped" in refused and book.cutover()["state"] == "acked"
    before, url = book.server.facts("live", book.site), book.url()
    failed = book.as_("olga", "-o", "force-schema", "-o", "reason=try", "HEAD:cutover/next", ok=False)
    assert "did not become healthy" in failed
    assert book.page() == "one kept cat.png" and book.server.facts("live", book.site) == before
    assert book.url() == url
    ended = book.cutover()
    assert ended["state"] == "failed" and "did not become healthy" in ended["error"]
    again = book.server.cli("cutover", "run", book.site, row, "--yes", check=False)
    assert again.returncode == 4 and "cutover request" in again.stderr
    assert book.server.facts("snapshot", "show", book.site, f"pre-cutover-{row}")["verified"]
    # A new request is another matter; the preview's end takes it back.
    row = book.request("dora")
    book.server.cli("preview", "extend", book.site, "next", "--ttl", "1h")
    eventually(lambda: any(one["action"] == "cutover.preview_expiring" for one in book.events()))
    assert "preview extend" in book.as_("olga", f"HEAD:approve/{row}")
    book.server.cli("preview", "extend", book.site, "next", "--ttl", "1s")
    ends = book.cutover()["preview_expires_at"]
    eventually(lambda: datetime.now(UTC).isoformat() > ends)
    late = book.as_("olga", "-o", "ticket=SUP-1", "HEAD:cutover/next", ok=False)
    assert "The time of the preview next is over" in late or "no environment 'next'" in late
    book.server.cli("preview", "remove", book.site, "next", check=False)  # unless it is gone already
    assert book.cutover()["state"] == "canceled" and book.page() == "one kept cat.png"
