"""The dashboard in a real browser. Pictures of each step are kept in `.screenshots`, by test."""

from __future__ import annotations

import re
from pathlib import Path

from held import Held
from playwright.sync_api import expect
from support import Project
from web_support import BUILD, EVIL, looked_at, sign_in

DATA_APP = Path(__file__).parents[1] / "scenario" / "data_app.py"


def test_the_story_from_an_empty_server_to_a_rollback(page, server, tmp_path):
    page.goto(re.search(r"first admin +(http://\S+)", server.said())[1])
    page.shoot("01-first-run")
    page.get_by_label("Your name").fill("ana")
    page.get_by_role("button", name="Make me admin").click()
    token = page.locator("[data-copy]").inner_text()
    page.shoot("02-token")
    page.get_by_role("link", name="I have stored it: go on").click()
    page.get_by_text("New site").first.click()
    page.get_by_label("Name").fill("blog")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Nothing is live in production yet")).to_be_visible()
    page.shoot("03-empty-site")

    project = Project(tmp_path / "project", server)
    project.git("remote", "add", "managed", f"http://ana:{token}@{server.listen}/blog.git")
    project.write("gitdeploy.toml", BUILD)
    project.write("build.sh", "mkdir -p out && cp *.html out/\n")
    project.commit("Open the bakery", index_html="<h1>Bread</h1>")
    assert project.push("main").ok
    expect(page.get_by_role("heading", name="r1 Open the bakery")).to_be_visible()  # nobody reloaded the page
    expect(page.locator(".card.live .why")).to_have_text(
        "There is nothing to go back to: production has had no release before this one."
    )
    expect(page.get_by_text("Roll back to")).to_have_count(0)

    project.git("checkout", "-q", "-b", "feature/checkout")
    commit = project.commit("Take orders", index_html="<h1>Order now</h1>", checkout_html="<form></form>")
    assert project.push("feature/checkout").ok
    choice = page.get_by_role("radio", name="feature/checkout")
    expect(choice).to_be_checked()
    page.shoot("04-preview-selected")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open feature/checkout").click(modifiers=["Control"])
    expect(opened.value.get_by_role("heading", name="Order now")).to_be_visible()
    opened.value.close()

    reviewed = server.facts("live", "blog", "--env", "feature/checkout")
    builds = server.facts("builds", "blog")
    page.get_by_role("button", name="Promote to production").click()
    expect(page.get_by_role("heading", name="Promote to production")).to_be_visible()
    expect(page.locator(".side").first).to_contain_text("r1 Open the bakery")
    expect(page.locator(".side").last).to_contain_text(f"build {reviewed['build'][-6:]} Take orders")
    expect(page.get_by_text("1 changed")).to_be_visible()
    expect(page.locator(".paths")).to_contain_text("checkout.html")
    page.shoot("05-confirmation")
    page.get_by_label("Reason").fill("reviewed with Jo")
    page.get_by_role("button", name="Promote to production").click()
    expect(page.locator(".told .log")).to_contain_text("reused: nothing is built again")
    expect(page.get_by_text("r3 is live in production.")).to_be_visible()
    expect(page.locator(".chip")).to_have_text(f"production {commit[:7]} r3")
    page.shoot("06-promoted")
    live = server.facts("live", "blog")
    assert (live["artifact"], live["commit"]) == (reviewed["artifact"], commit) and live["reason"]
    assert server.facts("builds", "blog") == builds, "the very bytes that were reviewed, and no build"
    assert server.get("blog").text == "<h1>Order now</h1>"

    page.get_by_role("link", name="See r3").click()
    expect(page.locator(".chip")).to_have_text(f"production {commit[:7]} r3")
    page.get_by_role("link", name="Deploys").click()
    history = page.get_by_role("table", name="Production history")
    expect(history.get_by_role("row")).to_have_count(3)
    row = history.get_by_role("row").nth(2)
    expect(row).to_contain_text("r1")
    page.shoot("07-history")
    row.get_by_role("link", name="Roll back to this release r1").click()
    expect(page.get_by_role("heading", name="Roll production back to r1")).to_be_visible()
    page.shoot("08-rollback")
    page.get_by_label("Reason").fill("orders get lost")
    page.get_by_role("button", name="Roll back to r1").click()
    expect(page.get_by_text("r4 is live in production.")).to_be_visible()
    assert server.get("blog").text == "<h1>Bread</h1>"
    page.get_by_role("link", name="Deploys").click()
    expect(history.get_by_role("row").nth(1)).to_contain_text("r4 live rollback")
    expect(history.get_by_role("row").nth(2)).to_contain_text("r3 rolled back bad")
    page.shoot("09-rolled-back")

    page.get_by_role("link", name="Incidents").click()
    page.get_by_role("link", name="Incident 1").click()
    page.get_by_label("Verified").check()
    note = page.get_by_role("textbox", name="Note")
    note.fill(f"{note.input_value()}We will test the form.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    page.shoot("10-incident")
    assert "We will test the form." in server.facts("incident", "show", "blog")["text"]


def test_a_snapshot_is_taken_and_restored_and_a_build_followed(page, server, tmp_path):
    server.cli("site", "create", "shop")
    project = Project(tmp_path / "project", server)
    project.git("remote", "add", "managed", server.remote("shop", "maya", "maintainer"))
    project.write("app.py", DATA_APP.read_text())
    project.write("gitdeploy.toml", '[data]\ndatabases = ["sqlite:data/app.db"]\nfiles = ["uploads"]\n')
    project.write("Procfile", "web: exec python3 app.py\nrelease: python3 app.py migrate\n")
    project.write("migrations", "")
    project.write("version", "one")
    project.commit("A shop")
    assert project.push("main").ok
    sign_in(page, server, server.token("olga", "operator", "shop"))

    page.goto(f"http://{server.listen}/sites/shop/data")
    page.get_by_text("Take a snapshot").click()
    page.get_by_label("Label").fill("before the sale")
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_text("s1 is taken and proven.")).to_be_visible()
    page.get_by_role("link", name="See s1").click()
    page.shoot("snapshot")
    over = page.get_by_role("button", name="Restore over production")
    over.click()
    expect(page.get_by_text("Type production to say that you mean it.")).to_be_visible()
    page.get_by_label("Type production").fill("production")
    over.click()
    expect(page.get_by_text("production has the data of s1, as r2.")).to_be_visible()
    page.shoot("restored")
    assert server.facts("live", "shop")["kind"] == "restore"
    page.goto(f"http://{server.listen}/sites/shop/settings")
    expect(page.get_by_role("row", name=re.compile("web.1 running"))).to_be_visible()

    project.git("checkout", "-q", "-b", "slow")
    held = Held(server, project)
    project.git("rm", "-q", "--cached", "Procfile")
    (project.folder / "Procfile").unlink()
    project.commit("Slow", index_html="slow")
    assert project.push("-o", "detach", "slow").ok
    held.wait()
    page.goto(f"http://{server.listen}/sites/shop/builds")
    page.get_by_role("row", name=re.compile("Slow")).get_by_role("link").first.click()
    expect(page.locator("pre.log")).to_contain_text("touch begun")
    expect(page.locator(".badge").first).to_have_text("building")
    held.go()
    expect(page.locator(".badge").first).to_have_text("built")  # nobody reloaded the page


def test_every_page_can_be_read_by_everybody_and_runs_nothing_strange(page, stage):
    sign_in(page, stage, stage.admin)
    found = [
        one
        for name, path in stage.pages().items()
        for one in looked_at(
            page, f"http://{stage.listen}{path}", name, dark=name in ("deploys", "promote", "failed")
        )
    ]
    assert not found, "\n".join(found)


def test_it_works_without_a_script_and_with_the_keyboard_alone(browser, page, stage):
    plain = browser.new_context(java_script_enabled=False)
    one = plain.new_page()
    sign_in(one, stage, stage.admin)
    one.get_by_role("link", name="blog", exact=True).click()
    one.get_by_role("link", name="Roll back to this release r1").click()
    one.get_by_role("button", name="Check only").click()
    expect(one.get_by_role("status")).to_contain_text("All checks passed, and nothing was changed.")
    expect(one.locator(".log")).to_contain_text("rollback of production of blog to r1")
    plain.close()

    sign_in(page, stage, stage.admin)
    keys = page.keyboard
    keys.press("j")
    keys.press("Enter")
    page.wait_for_url("**/sites/blog")
    keys.press("/")
    keys.type("One")
    history = page.get_by_role("table", name="Production history").get_by_role("row")
    expect(history.filter(visible=True)).to_have_count(3)  # the head, r1, and r3 with its "onerror"
    keys.press("Escape")
    page.get_by_role("link", name="Roll back to this release r1").focus()
    keys.press("Enter")
    page.get_by_label("Reason").focus()
    for _ in range(3):
        keys.press("Tab")
    expect(page.get_by_role("button", name="Check only")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("All checks passed, and nothing was changed.")).to_be_visible()
    assert EVIL not in page.title()
