"""Who looks at the dashboard: somebody with plain HTTP, and a real Chromium; and what there is to see."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import httpx
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright
from support import Project, Server, eventually

PICTURES = Path(__file__).parents[2] / ".screenshots"
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
EVIL = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
EVIL_BRANCH = 'x"><script>window.pwned=1</script>'
EVIL_FILE = "<img src=x onerror=window.pwned=1>.html"
EVIL_LOG = r"\033[31m<script>window.pwned=1</script>\033[0m\033]0;title\007\033[2J<b>end</b>"
BUILD = '[build]\ncommand = "sh build.sh"\noutput = "out"\n'


def chromium(request):
    """A browser for as long as whoever asks."""
    playwright = sync_playwright().start()
    request.addfinalizer(playwright.stop)
    one = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGS))
    request.addfinalizer(one.close)
    return one


def sign_in(page: Page, server: Server, token: str) -> None:
    page.goto(f"http://{server.listen}/sign-in")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"http://{server.listen}/")


def looked_at(page: Page, url: str, name: str, *, dark: bool = False) -> list[str]:
    """What is wrong with a page, on a desk, in the dark and on a phone, with pictures of it (`page.shoot`). Without a
    `url` it is the page that is open.
    """
    found: list[str] = []

    def look(where: str, **options: object) -> None:
        for one in page.evaluate("options => axe.run(document, options)", options)["violations"]:
            nodes = ", ".join(node["html"] for node in one["nodes"][:3])
            found.append(f"{where}: {one['impact']} {one['id']}: {nodes}")

    page.set_viewport_size({"width": 1200, "height": 860})
    page.emulate_media(color_scheme="light")
    if url:
        page.goto(url)
    page.evaluate(Axe().axe_script)
    for one in page.locator("details").all():
        one.evaluate("one => one.open = true")
    look(name)
    page.shoot(f"{name}-light")
    page.emulate_media(color_scheme="dark")
    look(f"{name}, dark", runOnly=["color-contrast"])
    if dark:
        page.shoot(f"{name}-dark")
    page.set_viewport_size({"width": 360, "height": 740})
    look(f"{name}, 360 px", rules={"color-contrast": {"enabled": False}})
    page.shoot(f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        found.append(f"{name} is {wide} px wider than a phone")
    strange = page.locator("img:not([src^='/sites/']), script:not([src]), main b").count()
    if page.evaluate("window.pwned") or strange:
        found.append(f"{name} runs or shows what a stranger wrote")
    page.set_viewport_size({"width": 1200, "height": 860})
    page.emulate_media(color_scheme="light")
    return found


class Tab:
    """A browser without a window, and without JavaScript: cookies, pages, and the forms that are on them."""

    def __init__(self, server: Server, token: str = "") -> None:
        none_stays_open = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=f"http://{server.listen}", timeout=60, limits=none_stays_open)
        if token:
            answer = self.http.post("/sign-in", data={"token": token})
            assert answer.status_code == 303, answer.text

    def get(self, path: str, status: int = 200) -> str:
        answer = self.http.get(path)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return answer.text

    @property
    def csrf(self) -> str:
        return re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/access"))[1]

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as one of our pages would."""
        return self.http.post(path, data={"csrf": self.csrf, **fields})


def said(html: str) -> str:
    """What a reader sees, tags taken away."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


class Stage(Server):
    """`blog` is a site whose names are hostile, `empty` one without a release."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def set(self) -> None:
        self.start()
        self.admin = self.token("boss", "admin")
        self.cli("site", "create", "blog")
        self.cli("site", "create", "empty")
        project = self.project = Project(self.folder / "blog", self)
        project.git("remote", "add", "managed", self.remote("blog", "maya", "maintainer"))
        project.write("gitdeploy.toml", BUILD)
        project.write("build.sh", f"mkdir -p out && cp *.html out/ && printf '{EVIL_LOG}\\n'\n")
        project.commit("One", index_html="<h1>one</h1>")
        assert project.push("main").ok
        project.commit("Two", index_html="<h1>two</h1>")
        assert project.push("-o", f"reason={EVIL}", "main").ok
        project.write(EVIL_FILE, "three")
        project.commit(f"{EVIL} \u202e txet", index_html="<h1>three</h1>")
        assert project.push("main").ok
        assert project.push("-o", f"reason={EVIL}", "HEAD:rollback/r2").ok
        project.git("checkout", "-q", "-b", EVIL_BRANCH)
        project.commit(f"Preview {EVIL}", index_html="<h1>preview</h1>")
        assert project.push(EVIL_BRANCH).ok
        project.git("checkout", "-q", "-b", "broken")
        project.write("build.sh", f"printf '{EVIL_LOG}\\n'; exit 3\n")
        project.commit("Break it")
        assert project.push("broken").ok
        eventually(lambda: self.builds("failed"))
        self.cli("config", "set", "blog", f"NOTE={EVIL}")
        self.cli("config", "set", "blog", "--secret", "KEY=very-secret-value")

    def builds(self, state: str) -> list[dict[str, object]]:
        found = self.facts("builds", "blog")
        return [one for one in found if one["state"] == state]

    def pages(self) -> dict[str, str]:
        """Every page of the dashboard that an admin can open, by what it is."""
        built, failed = self.builds("built")[0], self.builds("failed")[0]
        site = "/sites/blog"
        return {
            "sites": "/", "deploys": site, "nothing-live": "/sites/empty", "release": f"{site}/releases/r4",
            "promote": f"{site}/promote?target={built['id']}", "rollback": f"{site}/rollback?target=r3",
            "redeploy": f"{site}/redeploy", "previews": f"{site}/previews", "builds": f"{site}/builds",
            "build": f"{site}/builds/{built['id']}", "failed": f"{site}/builds/{failed['id']}",
            "data": f"{site}/data", "migration": f"{site}/migration", "cutovers": f"{site}/cutovers",
            "webhooks": f"{site}/webhooks", "server-webhooks": "/webhooks",
            "incidents": f"{site}/incidents", "incident": f"{site}/incidents/1",
            "events": f"{site}/events", "settings": f"{site}/settings", "logs": f"{site}/logs",
            "access": "/access", "server-events": "/events", "login": "/login",
        }  # fmt: skip
