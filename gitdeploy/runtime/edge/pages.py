"""The edge's own pages, for when a site has no page of its own to say it."""

from __future__ import annotations

from functools import cache, lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from gitdeploy import resources

RETRY_AFTER = 5
"""Seconds after which a visitor of an app that does not answer may try again."""

_WORDS = {
    "no_site": (
        404,
        "No site here",
        "Nothing is served under this name. Check the address, or deploy a site to it.",
    ),
    "not_found": (
        404,
        "Page not found",
        "There is no page at this address. It may have moved, or never been.",
    ),
    "no_web": (404, "Nothing to see here", "This site works in the background: it has no pages."),
    "method": (405, "Not allowed", "This site is read with GET and HEAD; it takes nothing else."),
    "stopped": (
        503,
        "Not running",
        "This site has no web process running right now. Please try again later.",
    ),
    "exchange": (
        503,
        "One moment please",
        "The data of this site is being exchanged, which takes longer than usual. Nothing is lost: please try again in "
        "a moment.",
    ),
    "unavailable": (503, "Back in a moment", "The site cannot answer right now. Please try again."),
    "no_answer": (
        502,
        "No answer",
        "The site did not answer this request. If you sent something, check whether it arrived.",
    ),
    "maintenance": (503, "Back soon", "This site is being worked on. Please come back in a while."),
    "forbidden": (403, "Not from here", "This site is shown to visitors from known addresses only."),
    "password": (401, "Password needed", "This site is shown to those who know its password."),
    "broken": (500, "Something is wrong", "This page cannot be served. The owner of the site can see why."),
}


@cache
def page(name: str) -> bytes:
    """One of the names above, as UTF-8 HTML that needs no other file."""
    return _render(name, _WORDS[name][2])


@lru_cache(maxsize=64)
def maintenance(message: str) -> bytes:
    """With its owner's own words; "" leaves it at ours."""
    return _render("maintenance", message) if message else page("maintenance")


def render_all() -> None:
    for name in _WORDS:
        page(name)


def status(name: str) -> int:
    return _WORDS[name][0]


def _render(name: str, text: str) -> bytes:
    status, title, _ = _WORDS[name]
    return _template().render(status=status, title=title, text=text).encode()


@cache
def _template() -> Template:
    loader = FileSystemLoader(resources.folder("templates"))
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False)
    return templates.get_template("edge/page.html")
