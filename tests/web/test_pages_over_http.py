from __future__ import annotations

import re
from html import unescape

import pytest
from web_support import EVIL, EVIL_BRANCH, EVIL_FILE, Tab, said


@pytest.fixture(scope="module")
def boss(stage):
    return Tab(stage, stage.admin)


def test_every_page_shows_hostile_names_as_text(stage, boss):
    seen = ""
    for name, path in stage.pages().items():
        html = boss.get(path)
        for mark in ("<script>window", "<img src=x", "\x1b", "\u202e", "<b>end"):
            assert mark not in html, f"{mark!r} on {name}"
        seen += said(html)
    for text in (EVIL, EVIL_BRANCH, EVIL_FILE, "<b>end</b>"):
        assert text in seen, f"{text!r} is nowhere to be read"
    assert "very-secret-value" not in seen and "KEY secret" in seen
    assert "production" in seen


def test_the_header_says_what_is_live_and_pages_that_are_not_there_say_so(stage, boss):
    live = stage.facts("live", "blog")
    assert f"production {live['commit'][:7]} {live['release']}" in said(boss.get("/sites/blog/events"))
    for path in ("/sites/nope", "/sites/blog/releases/r99", "/sites/blog/builds/bld_nope", "/no/such/page"):
        assert "<h1>" in boss.get(path, status=404)
    assert boss.http.get("/v1/nope").headers["content-type"] == "application/json"


def test_what_a_role_does_not_allow_is_not_offered_and_not_done(stage):
    viewer = Tab(stage, stage.token("vera", "viewer", "blog"))
    page = viewer.get("/sites/blog")
    assert "Roll back to this release" not in page and "vera is viewer of blog and may not roll back" in said(
        page
    )
    assert "Sites" in page and 'href="/sites/blog/events"' not in page
    assert "empty" not in said(viewer.get("/")), "a site that is none of theirs"
    for path in ("/sites/blog/events", "/sites/blog/incidents", "/events"):
        assert "may not" in said(viewer.get(path, status=403))
    assert "There is no site" in said(viewer.get("/sites/empty", status=404))
    before = stage.facts("live", "blog")
    for path, fields in (
        ("/sites/blog/rollback", {"target": "r1"}), ("/sites/blog/promote", {"target": "r1"}),
        ("/sites/blog/lock", {"reason": "x"}), ("/sites/blog/previews/remove", {"branch": "broken"}),
        ("/sites/blog/config", {"env": "production", "name": "A", "value": "b"}), ("/sites", {"name": "mine"}),
        ("/access", {"actor": "vera", "role": "admin"}), ("/sites/blog/domains", {"domain": "a.example", "env": ""}),
        ("/tokens", {"actor": "boss"}), ("/sites/blog/snapshots", {"env": "production"}),
        ("/sites/blog/maintenance", {"do": "close", "message": "x"}), ("/sites/blog/incidents/1", {"tick": "verified"}),
    ):  # fmt: skip
        answer = viewer.post(path, **fields)
        assert answer.status_code == 403, f"{path}: {answer.status_code} {said(answer.text)}"
        assert "may not" in said(answer.text)
    assert stage.facts("live", "blog") == before
    own = viewer.post("/tokens", ttl="7d")
    assert stage.api("/v1/sites", re.search(r"gd_live_[\w-]+", own.text)[0]).status == 200


def test_promote_and_roll_back_without_a_script(stage, boss):
    build = next(one for one in stage.builds("built") if one["ref"].endswith(EVIL_BRANCH))
    page = said(boss.get("/sites/blog"))
    assert "Ready to promote" in page and "Promote to production" in page
    summary = said(boss.get(f"/sites/blog/promote?target={build['id']}"))
    assert "Now live in production r4" in summary and f"build {build['id'][-6:]}" in summary
    assert "1 changed 1 added" in summary and EVIL_FILE in summary
    assert "Nothing is built again." in summary and "This brings back" in summary

    checked = boss.post("/sites/blog/promote", target=build["id"], env="production", do="check")
    assert "All checks passed, and nothing was changed." in said(checked.text)
    assert stage.facts("live", "blog")["release"] == "r4"
    before = len(stage.facts("builds", "blog"))
    told = boss.post("/sites/blog/promote", target=build["id"], env="production", reason="reviewed", do="it")
    live = stage.facts("live", "blog")
    assert told.status_code == 200 and f"{live['release']} is live in production." in said(told.text)
    assert (
        "=====> live:" in said(told.text)
        and live["artifact"] == build["artifact"]
        and live["reason"] == "reviewed"
    )
    assert len(stage.facts("builds", "blog")) == before, "nothing was built"
    assert stage.get("blog").text == "<h1>preview</h1>"

    summary = said(boss.get("/sites/blog/rollback?target=r2"))
    assert "Roll production back to r2" in summary and "1 changed 1 removed" in summary
    told = boss.post("/sites/blog/rollback", target="r2", env="production", reason="wrong", do="it")
    assert "is live in production." in said(told.text) and stage.get("blog").text == "<h1>two</h1>"
    page = boss.get("/sites/blog")
    assert page.count("Roll back to this release") == 5, "each prior entry, and not the live one"
    rows = re.findall(r"<tr role=\"row\" data-row.*?</tr>", page, re.S)
    assert "live" in said(rows[0]) and "rollback" in said(rows[0])
    assert "rolled back" in said(rows[1]) and "bad" in said(rows[1])

    button = "Roll back to the previous release, r1"
    assert button in said(page), "r2 is live again, so what lies under it"
    assert "is live in production." in said(
        boss.post("/sites/blog/rollback", target="r1", reason="worse", do="it").text
    )
    page = said(boss.get("/sites/blog"))
    assert "Roll back to the previous release" not in page and "No earlier release is good" in page
    assert "is live in production." in said(boss.post("/sites/blog/rollback", target="r2", do="it").text)

    nothing = boss.post("/sites/blog/rollback", target="r99", env="production", do="it")
    assert nothing.status_code == 404 and "is not a release of production" in said(nothing.text)
    assert "There is no such" not in boss.get("/sites/blog")
    assert "serves nothing" in said(boss.get("/sites/empty")) and "git push managed main" in boss.get(
        "/sites/empty"
    )


def test_previews_locks_domains_config_and_access_are_changed_by_forms(stage, boss):
    ends = {one["name"]: one["expires_at"] for one in stage.facts("previews", "blog")}
    assert boss.post("/sites/blog/previews/extend", branch=EVIL_BRANCH, ttl="30d").status_code == 303
    assert {one["name"]: one["expires_at"] for one in stage.facts("previews", "blog")} != ends
    assert boss.post("/sites/blog/lock", reason="moving").status_code == 303
    assert "boss: moving" in said(boss.get("/sites/blog/settings"))
    assert "is locked by boss: moving" in said(boss.get("/sites/blog")), "why nothing can be promoted"
    refused = boss.post("/sites/blog/promote", target="broken", env="production", do="it")
    assert refused.status_code >= 400 and 'role="alert"' in refused.text
    assert boss.post("/sites/blog/unlock").status_code == 303
    assert boss.post("/sites/blog/domains", domain="bread.example.net", env="production").status_code == 303
    assert "bread.example.net" in boss.get("/sites/blog/settings")
    assert boss.post("/sites/blog/domains/remove", domain="bread.example.net").status_code == 303
    assert "bread.example.net" not in boss.get("/sites/blog/settings")
    set_ = boss.post("/sites/blog/config", env="production", name="GREETING", value="hi\r\nthere")
    assert "has the configuration" in said(set_.text)
    assert stage.facts("config", "list", "blog")["variables"]["GREETING"]["value"] == "hi\nthere"
    assert boss.post("/access", actor="ida", role="developer", site="blog").status_code == 303
    assert "ida is developer of blog" in said(boss.get("/access"))
    assert boss.post("/access/revoke", actor="ida", site="blog").status_code == 303
    assert "ida" not in said(boss.get("/access"))
    incident = boss.get("/sites/blog/incidents/1")
    text = re.search(r'<textarea name="was"[^>]*>\n(.*?)</textarea>', incident, re.S)[1]
    note = unescape(text)
    saved = boss.post("/sites/blog/incidents/1", text=f"{note}It was us.\r\n", was=note, tick="verified")
    assert saved.status_code == 303
    page = boss.get("/sites/blog/incidents/1")
    assert "It was us." in page
    stale = boss.post("/sites/blog/incidents/1", text="mine", was="an older text")
    assert stale.status_code == 409 and "Somebody else has changed" in said(stale.text)
    early = boss.post("/sites/blog/incidents/1", text=note, was=note, do="close")
    assert early.status_code in (403, 409)


def test_long_lists_come_in_pages(stage, boss):
    for number in range(35):
        stage.api("/v1/sites", stage.admin, "POST", {"name": f"many-{number:02}"})
    page, seen = "/", []
    while page:
        html = boss.get(page)
        seen += re.findall(r'class="lead"><a href="/sites/([^"/]+)"', html)
        more = re.search(r'rel="next" href="([^"]+)"', html)
        page = more[1].replace("&amp;", "&") if more else ""
    assert seen == sorted(set(seen)) and len([one for one in seen if one.startswith("many-")]) == 35
    assert re.findall(r'class="lead"><a href="/sites/([^"/]+)"', boss.get("/?q=ny-07")) == ["many-07"]

    page, events = "/events", 0
    while page:
        html = boss.get(page)
        events += html.count("data-row")
        more = re.search(r'rel="next" href="([^"]+)"', html)
        page = more[1] if more else ""
    assert events == len(stage.facts("events", "--limit", "1000")) > 60
