"""From facts to HTML. Everything is escaped, and what strangers wrote neither hides nor turns round what follows."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import gitdeploy
from gitdeploy import resources
from gitdeploy.domain.site import Site
from gitdeploy.service import overview
from gitdeploy.web import views
from gitdeploy.web.pages import assets, words
from gitdeploy.web.stream import Verb, heard, streamed, wants_lines

DONE = {
    "site": "The site is made. Push to it.",
    "locked": "The site is locked: nothing but a rollback goes live.",
    "unlocked": "The site is unlocked.",
    "extended": "The preview lives on.",
    "removed": "Removed.",
    "pinned": "Pinned: it is kept whatever retention says.",
    "unpinned": "No longer pinned.",
    "saved": "Saved.",
    "closed": "The incident is closed.",
    "granted": "The role is given.",
    "revoked": "Revoked, at once.",
    "added": "Added.",
    "canceled": "Canceled.",
    "signed-out": "You are signed out.",
}
"""What a page says that somebody is led to after a form; the address names it, so it can say nothing else."""


def shown(request: Request, template: str, *, status: int = 200, **said: Any) -> Response:
    """A page; `title` is needed."""
    visit = getattr(request.state, "visit", None)
    text = templates().get_template(template).render(
        visit=visit, path=request.url.path, done=DONE.get(request.query_params.get("done", "")),
        version=gitdeploy.__version__, **said,
    )  # fmt: skip
    return HTMLResponse(text, status)


def of_site(request: Request, site: Site, tab: str, template: str, **said: Any) -> Response:
    """A page of a site, below its header, which says what is live."""
    ctx = request.app.state.ctx
    glance = overview.site(ctx, site)
    live = views.release(glance.live) if glance.live else None
    return shown(
        request,
        template,
        site=site,
        tab=tab,
        glance=glance,
        live_now=live,
        address=ctx.url(site.name),
        **said,
    )


def led(*path: str, done: str = "", **query: str) -> Response:
    """To another page, after a form."""
    return RedirectResponse(url(*path, **query, **({"done": done} if done else {})), 303)


def carried(request: Request, site: Site, tab: str, title: str, verb: Verb[Any], back: str) -> Response:
    """A verb that takes a while: told as it happens to a page that can listen, else shown when it is over. It returns
    `{says, go, label}`: a sentence, and where to go from there.
    """
    lines = heard(request.app.state.ctx, request, verb)
    if wants_lines(request):
        return streamed(request, lines)
    *said, last = lines
    return of_site(
        request, site, tab, "told.html", title=title, lines="".join(one["said"] for one in said).splitlines(),
        error=last.get("error"), result=last.get("result"), back=back, status=last.get("status", 200),
    )  # fmt: skip


def url(*path: str, **query: object) -> str:
    """`url("sites", "blog", branch="a/b")` -> `/sites/blog?branch=a%2Fb`; what is empty is left out."""
    asked = urlencode({name: str(value) for name, value in query.items() if value not in ("", None)})
    return "/" + "/".join(quote(part, safe="") for part in path) + (f"?{asked}" if asked else "")


@cache
def templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(resources.folder("templates") / "dashboard"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_plain,
    )  # fmt: skip
    made.globals.update(url=url, asset=assets.address)
    made.filters.update({one.__name__: one for one in words.ALL})
    return made


# Private


def _plain(value: Any) -> Any:
    """Text without what a browser would act on although it is no markup: control characters, and marks that turn the
    direction of all that follows.
    """
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup) and not value.isprintable():
        return "".join("\N{REPLACEMENT CHARACTER}" if _acts(one) else one for one in value)
    return value


def _acts(one: str) -> bool:
    if one in "\n\t":
        return False
    return unicodedata.category(one) in ("Cc", "Cs") or unicodedata.bidirectional(one) in _TURNING


_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
