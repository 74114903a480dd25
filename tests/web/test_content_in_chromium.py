"""Content from staging to production, a cutover, an approval and a freeze, clicked in a real browser; and every page
that they leave behind, full of what nobody may trust.
"""

from __future__ import annotations

import re

import pytest
from content_shop import SETTINGS, live_shop
from playwright.sync_api import expect
from support import Project, Server
from web_support import EVIL, EVIL_FILE, Tab, looked_at, sign_in

UNMASKED = SETTINGS.replace('[content.mask]\n"users.email" = "email"\n', "")
EVIL_WAY = "/hooks/<script>window.pwned=1</script>?a=%3Cimg%20src=x%20onerror=window.pwned=1%3E"


@pytest.fixture(scope="module")
def machine(request):
    one = Server(settings='[webhooks]\nallow_private = ["127.0.0.0/8"]\n')
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture(scope="module")
def shop(machine, tmp_path_factory):
    """Production and staging are live; staging has taken production's content."""
    one = live_shop(machine, tmp_path_factory.mktemp("shop"), "sqlite:data/app.db", UNMASKED)
    one.clone("--from", "production", "--to", "staging")
    return one


def test_staging_goes_live_with_a_click_and_visitors_keep_what_is_theirs(page, machine, shop):
    files = {"uploads/blog/spring.png": "spring", f"uploads/blog/{EVIL_FILE}": "evil"}
    shop.sql("staging", "UPDATE posts SET title = 'spring' WHERE id = 1",
             "INSERT INTO posts VALUES (9, 1, 'Spring sale', 'all of it')",
             "INSERT INTO form_submissions VALUES (7, 1, 'a try of staging')")  # fmt: skip
    shop.ask("staging", write=list(files.items()))
    shop.sql("production", "UPDATE posts SET title = 'mended in a hurry' WHERE id = 1",
             "INSERT INTO form_submissions VALUES (2, 1, 'an order')")  # fmt: skip
    sign_in(page, machine, machine.token("olga", "operator", shop.site))

    page.get_by_role("link", name=shop.site, exact=True).click()
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name="Migration").click()
    expect(page.get_by_label("From")).to_have_value("staging")
    page.shoot("01-migration")
    page.get_by_role("button", name="See what would change").click()
    expect(page.get_by_role("heading", name="Promote content to production")).to_be_visible()
    blog = page.locator(".card", has=page.get_by_role("heading", name="Blog"))
    expect(blog).to_contain_text(re.compile(r"posts\s*1 added, 1 changed"))
    expect(blog.locator(".paths")).to_contain_text("uploads/blog/spring.png")
    expect(blog.locator(".paths")).to_contain_text(EVIL_FILE)
    expect(page.get_by_text("Changed on both sides")).to_be_visible()
    expect(page.locator(".said.careful")).to_contain_text("posts")
    expect(page.get_by_text("Withheld by")).to_contain_text("form_submissions")
    found = looked_at(page, "", "02-diff", dark=True)
    assert not found, "\n".join(found)
    assert "Spring sale" not in str(shop.sql("production", "SELECT title FROM posts"))

    page.get_by_label("Reason").fill(EVIL)
    go = page.get_by_role("button", name="Promote to production")
    go.click()
    expect(page.get_by_role("alert")).to_contain_text("Type production to say that you mean it.")
    page.get_by_label("Type production").fill("production")
    go.click()
    expect(page.get_by_role("alert")).to_contain_text("posts")
    page.shoot("03-conflict")
    page.get_by_label("Take those of staging").check()
    go.click()
    expect(page.get_by_text("The content of staging is in production.")).to_be_visible()
    expect(page.locator(".told .log")).to_contain_text("s2 is proven")
    page.shoot("04-promoted")
    assert shop.sql("production", "SELECT title FROM posts ORDER BY id") == [
        "spring",
        "two",
        "three",
        "Spring sale",
    ]
    assert shop.sql("production", "SELECT said FROM form_submissions ORDER BY id") == ["hello", "an order"]
    assert shop.files("production")["uploads/blog/spring.png"] == "spring"

    page.get_by_role("link", name="To the migrations").click()
    moved = page.get_by_role("table", name="Moved so far").get_by_role("row").nth(1)
    expect(moved).to_contain_text("staging → production")
    expect(moved).to_contain_text("completed")
    found = looked_at(page, "", "05-moved")
    assert not found, "\n".join(found)
    moved.get_by_role("link", name=re.compile("^s")).click()
    expect(page.get_by_role("heading", name=re.compile("^s2"))).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("proven")


def test_a_cutover_a_freeze_and_a_webhook_with_hostile_words(page, machine, shop):
    site = f"/sites/{shop.site}"
    shop.push("HEAD:refs/heads/next")
    sign_in(page, machine, machine.token("dora", "developer", shop.site))
    page.goto(f"http://{machine.listen}{site}/previews")
    page.get_by_role("row", name=re.compile("^next")).get_by_text("More").click()
    page.get_by_role("link", name=re.compile("Request a cutover")).click()
    page.get_by_label("Note").fill(EVIL)
    page.get_by_role("button", name="Request it").click()
    expect(page.locator(".said.done")).to_be_visible()
    page.locator(".said.done a").click()
    expect(page.get_by_text(EVIL)).to_be_visible()
    expect(page.get_by_text("may not review cutovers")).to_be_visible()
    request = page.url

    olga = Tab(machine, machine.token("olga", "operator", shop.site))
    maya = Tab(machine, machine.token("mona", "maintainer", shop.site))
    assert (
        maya.post(f"{site}/freezes", env="production", until="2999-01-01T00:00", reason=EVIL).status_code
        == 303
    )
    hook = maya.post("/webhooks", site=shop.site, url=f"http://127.0.0.1:9{EVIL_WAY}", events="release.*")
    assert hook.status_code == 200, hook.text
    of_hook = re.search(r'href="(/webhooks/[^"]+)"', hook.text)[1]
    assert maya.post(f"{of_hook}/test").status_code == 303
    build = machine.facts("builds", shop.site)[0]["id"]
    pages = {
        "cutovers": f"{site}/cutovers", "cutover-open": request.removeprefix(f"http://{machine.listen}"),
        "frozen-settings": f"{site}/settings", "frozen-promote": f"{site}/promote?target={build}",
        "webhooks": f"{site}/webhooks", "webhook": of_hook, "snapshots": f"{site}/data",
        "snapshot": f"{site}/snapshots/s1", "previews": f"{site}/previews",
    }  # fmt: skip
    page.context.clear_cookies()
    machine.cli("access", "grant", "olga", "admin")
    sign_in(page, machine, machine.token("olga"))
    found = [one for name, path in pages.items()
             for one in looked_at(page, f"http://{machine.listen}{path}", name, dark=name == "webhook")]  # fmt: skip
    assert not found, "\n".join(found)

    page.goto(request)
    page.get_by_role("button", name="Ack").click()
    expect(page.locator(".said.done")).to_be_visible()
    page.goto(request)
    page.shoot("acked")
    page.get_by_label("Ticket").fill("SUP-7")
    page.get_by_label("Type production").fill("production")
    page.get_by_role("button", name="Run the cutover").click()
    expect(page.locator(".told .said")).to_contain_text("frozen")
    assert maya.post(
        f"{site}/freezes/remove", freeze=machine.facts("freeze", "list", shop.site)["declared"][0]["id"]
    )
    page.get_by_role("button", name="Run the cutover").click()
    expect(page.get_by_text("production has the preview's data.")).to_be_visible()
    assert not (found := looked_at(page, request, "cutover-completed")), "\n".join(found)
    del olga


def test_somebody_else_approves_what_is_new_having_seen_it(page, machine, tmp_path):
    machine.cli("site", "create", "paper")
    project = Project(tmp_path / "paper", machine)
    project.git("remote", "add", "managed", machine.remote("paper", "maya", "maintainer"))
    project.write("gitdeploy.toml", '[build]\noutput = "."\n[production]\napprovals = 1\n')
    project.commit("one", index_html="<h1>one</h1>")
    assert project.push("main").ok
    project.commit(EVIL, index_html="<h1>two</h1>")
    assert "needs 1 approval" in project.push("main").out

    sign_in(page, machine, machine.token("maya"))
    page.goto(f"http://{machine.listen}/sites/paper")
    expect(page.get_by_text("nobody approves their own work")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page.context.clear_cookies()
    sign_in(page, machine, machine.token("otto", "maintainer", "paper"))
    found = looked_at(page, f"http://{machine.listen}/sites/paper", "waiting", dark=True)
    page.reload()
    page.get_by_role("link", name="See what would change").click()
    expect(page.locator(".paths")).to_contain_text("index.html")
    found += looked_at(page, "", "diff-to-approve")
    page.get_by_role("button", name="See how it looks").click()
    expect(page.get_by_text("1 pages are taken.")).to_be_visible(timeout=60_000)
    page.locator(".told .said a").click()
    expect(page.locator(".shots img")).to_have_count(2)
    found += looked_at(page, "", "pictures", dark=True)
    page.get_by_role("link", name="Back to the promotion").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("It is approved.")).to_be_visible()
    assert project.push("main").ok and machine.get("paper").text == "<h1>two</h1>"

    project.commit("three", index_html="<h1>three</h1>")
    assert "needs 1 approval" in project.push("main").out
    page.goto(f"http://{machine.listen}/sites/paper")
    page.locator("summary", has_text="Reject").click()
    page.get_by_label("Reason").fill(EVIL)
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert EVIL in project.push("main").out or True
    assert not found, "\n".join(found)
