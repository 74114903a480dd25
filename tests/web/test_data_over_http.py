"""Migrations, cutovers, freezes, approvals and webhooks, done with the forms of the dashboard alone."""

from __future__ import annotations

import http.server
import re
import threading

import pytest
from guest_book import live_book
from support import Server
from web_support import EVIL, Tab, said

DOWN = """
import os, sqlite3
with sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///")) as one:
    one.execute("ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
"""


@pytest.fixture(scope="module")
def machine(request):
    one = Server(settings='[webhooks]\nallow_private = ["127.0.0.0/8"]\n')
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture(scope="module")
def book(machine, tmp_path_factory):
    """A guest book with a note, and a preview `next` that has another."""
    one = live_book(machine, tmp_path_factory.mktemp("book"), "sqlite:data/app.db", "[content]\nnever = []\n")
    one.push("HEAD:refs/heads/next")
    one.post("note/production")
    one.post("note/next", f"next--{one.site}")
    return one


def tab(machine: Server, book, name: str, role: str) -> Tab:
    return Tab(machine, machine.token(name, role, book.site))


def link(html: str, begins: str) -> str:
    return re.search(rf'href="({begins}[^"#]*)"', html)[1]


def test_content_moves_once_somebody_has_seen_what_that_would_change(machine, book):
    site = f"/sites/{book.site}"
    dora, olga = tab(machine, book, "dora", "developer"), tab(machine, book, "olga", "operator")
    assert "Promote content to production" in said(dora.get(f"{site}/migration"))
    order = {"from": "next", "to": "production", "database": "1", "files": "1"}
    refused = dora.post(f"{site}/migration/compare", **order)
    assert refused.status_code == 403 and "may not move content into production" in said(refused.text)
    down = dora.post(f"{site}/migration/compare", **{**order, "from": "production", "to": "next"})
    assert "notes" in said(down.text) and "Move it into next" in said(down.text)
    moved = dora.post(f"{site}/migration", **{**order, "from": "production", "to": "next"})
    assert "The content of production is in next." in said(moved.text)
    assert book.page(f"next--{book.site}") == book.page()

    book.post("note/edited", f"next--{book.site}")
    diff = olga.post(f"{site}/migration/compare", **order)
    assert re.search(r"notes .{0,40}1 added", said(diff.text)) and "Nothing has changed yet." in said(
        diff.text
    )
    assert "edited" not in book.page()
    early = olga.post(f"{site}/migration", **order)
    assert early.status_code == 403 and "Type production to say that you mean it." in said(early.text)
    done = olga.post(f"{site}/migration", **order, confirm="production", reason=EVIL)
    assert "The content of next is in production." in said(done.text), said(done.text)
    assert "edited" in book.page()
    listed = olga.get(f"{site}/migration")
    assert "next → production" in said(listed) and "completed" in said(listed)
    assert "is proven" not in said(listed) and "s1" in said(olga.get(f"{site}/data"))


def test_a_rollback_migrates_down_once_that_is_rehearsed(machine, tmp_path):
    one = live_book(machine, tmp_path, "sqlite:data/app.db")
    one.write("one", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    one.push("main")
    one.write("two", "ALTER TABLE notes DROP COLUMN author")
    one.project.write("down.py", DOWN)
    one.project.write("Procfile", (one.project.folder / "Procfile").read_text() + "down: python3 down.py\n")
    one.project.commit("down")
    one.push("main")
    one.post("note/kept")
    site, maya = f"/sites/{one.site}", tab(machine, one, "maya", "maintainer")
    asks = maya.get(f"{site}/rollback?target=r2")
    assert "migrates down with python3 down.py , once that is rehearsed on copies" in said(asks)
    assert "Migrate down to r2" not in asks
    order = {"target": "r2", "env": "production"}
    assert "nothing was changed" in said(maya.post(f"{site}/rollback", do="rehearse", **order).text)
    asks = maya.get(f"{site}/rollback?target=r2")
    assert "Migrate down to r2" in asks
    order["rehearsal"] = re.search(r'name="rehearsal" value="(reh_[0-9A-Z]{26})"', asks)[1]
    refused = maya.post(f"{site}/rollback", do="it", **order)
    assert "column notes.author was dropped" in said(refused.text)
    done = maya.post(f"{site}/rollback", do="down", **order)
    assert "r4 is live in production." in said(done.text), said(done.text)
    assert one.page() == "one kept "


def test_a_cutover_is_requested_reviewed_rehearsed_and_run(machine, book):
    site = f"/sites/{book.site}"
    dora, olga = tab(machine, book, "dora", "developer"), tab(machine, book, "olga", "operator")
    book.post("note/import", f"next--{book.site}")
    assert f"{site}/cutovers?preview=next" in dora.get(f"{site}/previews")
    asked = dora.post(f"{site}/cutovers", preview="next", note=EVIL)
    request = link(asked.text, f"{site}/cutovers/")
    again = dora.post(f"{site}/cutovers", preview="next")
    assert "is open already" in said(again.text), "one open request for each preview"
    page = dora.get(request)
    assert EVIL in said(page) and "<script>window" not in page and "may not review cutovers" in said(page)
    for fields in ({"do": "ack"}, {"do": "reject", "reason": "no"}):
        assert dora.post(request, **fields).status_code == 403
    rehearsed = dora.post(f"{request}/run", do="rehearse")
    assert "It went well on copies" in said(rehearsed.text), said(rehearsed.text)

    assert "may not" not in said(olga.get(request))
    assert "It is acked" in said(olga.post(request, do="ack").text)
    assert "needed before it is run" in said(olga.get(request))
    early = olga.post(f"{request}/run", do="it", ticket="SUP-7")
    assert early.status_code == 403 and "Type production" in said(early.text)
    no_ticket = olga.post(f"{request}/run", do="it", confirm="production")
    assert "ticket" in said(no_ticket.text) and "import" not in book.page()
    done = olga.post(f"{request}/run", do="it", confirm="production", ticket="SUP-7")
    assert "production has the preview's data." in said(done.text), said(done.text)
    assert "import" in book.page()
    page = said(olga.get(request))
    assert "completed" in page and "SUP-7" in page and "Backup" in page
    assert "completed" in said(olga.get(f"{site}/cutovers"))


def test_freezes_hold_the_dashboard_too(machine, book):
    site = f"/sites/{book.site}"
    maya = tab(machine, book, "mona", "maintainer")
    added = maya.post(f"{site}/freezes", env="production", until="2027-01-01T00:00", reason=EVIL)
    assert added.status_code == 303, said(added.text)
    assert EVIL in said(maya.get(f"{site}/settings"))
    build = next(one["id"] for one in machine.facts("builds", book.site) if one["state"] == "built")
    page = said(maya.get(f"{site}/promote?target={build}"))
    assert f"production of {book.site} is frozen until" in page and "Go live all the same" not in page
    olga = tab(machine, book, "olga", "operator")
    assert "Go live all the same" in said(olga.get(f"{site}/promote?target={build}"))
    refused = maya.post(f"{site}/promote", target=build, env="production", do="it")
    assert refused.status_code == 409 and "frozen" in said(refused.text)
    id = re.search(r'name="freeze" value="([^"]+)"', maya.get(f"{site}/settings"))[1]
    assert maya.post(f"{site}/freezes/remove", freeze=id).status_code == 303
    assert "frozen" not in said(maya.get(f"{site}/promote?target={build}"))


def test_webhooks_are_added_tried_out_and_removed(machine, book):
    heard: list[str] = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.headers["Gitdeploy-Event"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    ear = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    maya = tab(machine, book, "mona", "maintainer")
    made = maya.post(
        "/webhooks", site=book.site, url=f"http://127.0.0.1:{ear.server_port}/<b>", events="release.*"
    )
    assert re.search(r"whsec_[\w-]+", made.text), said(made.text)
    hook = link(made.text, "/webhooks/")
    assert "<b>" not in maya.get(f"/sites/{book.site}/webhooks") and "release.*" in maya.get(hook)
    assert maya.post(f"{hook}/test").status_code == 303
    assert heard == ["webhook.test"] and "webhook.test" in said(maya.get(hook))
    assert "may not" in said(tab(machine, book, "dora", "developer").get(hook, status=403))
    assert maya.post(f"{hook}/remove").headers["location"] == f"/sites/{book.site}/webhooks?done=removed"
    assert "No webhooks" in said(maya.get(f"/sites/{book.site}/webhooks"))
    assert "may not" in said(maya.get("/webhooks", status=403))
    ear.shutdown()
    ear.server_close()
