from __future__ import annotations

import pytest

pytest.register_assert_rewrite("web_support")

from web_support import PICTURES, Stage, chromium  # noqa: E402


@pytest.fixture(scope="module")
def stage(request, tmp_path_factory):
    """A server with an admin, and a site with a history, previews, a failed build, and names that nobody may trust."""
    one = Stage(tmp_path_factory.mktemp("stage"))
    request.addfinalizer(one.destroy)
    one.set()
    return one


@pytest.fixture(scope="module")
def browser(request):
    return chromium(request)


@pytest.fixture
def page(browser, request):
    """A window of its own; `page.shoot("name")` keeps a picture where somebody made the folder for it. What the console
    says against us fails the test.
    """
    context = browser.new_context(viewport={"width": 1200, "height": 860})
    request.addfinalizer(context.close)
    one = context.new_page()
    one.set_default_timeout(30_000)
    complaints: list[str] = []
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    one.on("dialog", lambda dialog: complaints.append(dialog.message))
    refused = "Failed to load resource: the server responded with a status of 4"
    folder = PICTURES / request.node.name.removeprefix("test_")
    one.shoot = lambda name: PICTURES.is_dir() and one.screenshot(path=folder / f"{name}.png", full_page=True)
    yield one
    assert not [one for one in complaints if not one.startswith(refused)]
