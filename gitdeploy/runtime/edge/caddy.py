"""The one configuration of Caddy: a pure function of its addresses, with nothing of any site in it.

What is live is told by links (docs/serving.md), so no deploy, site or domain ever changes it: Caddy 2.6
resets connections whenever its configuration changes. Caddy runs in the home; every path is relative to it.

Of one request: the host is checked and looked up once, through `live/<host>/current/`, for the file named
`at:<site>:<env>:<slot>:<serves>`. From then on only `sites/<site>/<env>/slots/<slot>` is used: a switch
between two look-ups (Caddy stats a file, then opens it by name) cannot mix one release's ETag with the
bytes of another.
"""

from __future__ import annotations

from typing import Any

from gitdeploy.domain import content_type
from gitdeploy.domain.serving import HIDDEN
from gitdeploy.process import Command
from gitdeploy.runtime.edge import access_log, gate, pages
from gitdeploy.runtime.edge import tls as https
from gitdeploy.runtime.edge.answer import IMMUTABLE, REVALIDATE
from gitdeploy.runtime.edge.app import ALIVE_HOST
from gitdeploy.runtime.edge.tls import Tls
from gitdeploy.store.home import Home

Json = dict[str, Any]

_URI = "{http.request.orig_uri}"
_STATUS = "{http.error.status_code}"
_EMBEDDED = "unix/run/edge.sock"
_SILENT: Json = {
    "vars": {"serves": ["app"]},
    "not": [{"vars_regexp": {"{http.error.message}": {"pattern": "^dial "}}}],
}
_PORT = "(:[0-9]+)?$"
_HAS_SLOT: Json = {"vars_regexp": {"slot": {"pattern": "^sites/"}}}


def command(home: Home, program: str) -> Command:
    """Run Caddy in `home` on `run/caddy.json`, with its own folders for what it keeps."""
    kept = home.root / "caddy"
    return Command(
        (program, "run", "--config", "run/caddy.json"),
        cwd=home.root,
        env={"HOME": str(kept), "XDG_DATA_HOME": str(kept), "XDG_CONFIG_HOME": str(kept)},
    )


def config(listen: str, tls: Tls | None = None) -> Json:
    """`listen` is `127.0.0.1:8480`, where HTTP is spoken; `tls` says where HTTPS is, if at all."""
    servers = {"edge": _server(listen, _redirects(tls, insecure=True))}
    apps = {}
    log: Json = {"level": "WARN", "exclude": ["http.log.access"]}
    if tls is not None:
        servers["edge"]["routes"].insert(0, https.questions(tls))
        servers["https"] = {
            **_server(tls.listen, _redirects(tls)),
            "protocols": ["h1", "h2", "h3"],
            "tls_connection_policies": [{}],
        }
        apps["tls"] = https.automation(listen, tls)
        log["exclude"].append("tls.handshake")  # 2.6 calls a name without a certificate of its own an error
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": log, "access": access_log.caddy()}},
        "apps": {"http": {"grace_period": "10s", "servers": servers}, **apps},
    }


def _server(listen: str, redirects: list[Json]) -> Json:
    first = [_alive(), _check_host(), *redirects, _gate(), _noindex()]
    return {
        "listen": [listen],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "logs": {},
        "read_header_timeout": "20s",
        "idle_timeout": "75s",
        "max_header_bytes": 64 * 1024,
        "routes": [*first, *_one_slot(), _route({}, _error(404))],
        "errors": {"routes": _errors()},
    }


def _alive() -> Json:
    return _route(
        {"host": [ALIVE_HOST]}, _vars(skip_log=True), {"handler": "static_response", "body": "caddy\n"}
    )


def _check_host() -> Json:
    """A name in another spelling (upper case, a dot at its end) goes to the embedded edge, which folds it."""
    labels, port = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", "(?::[0-9]*)?"
    other_spelling = _route(_host(rf"^(?i:{labels})\.?{port}$"), _embedded())
    return _route(
        {"not": [_host(f"^{labels}{port}$")]}, _subroute(other_spelling, _route({}, _error(404))), go_on=True
    )


def _redirects(tls: Tls | None, *, insecure: bool = False) -> list[Json]:
    """`www.example.org` is sent to `example.org` (or the other way round), which an empty file names. With TLS the
    domains of a site's own are for HTTPS alone.
    """
    named = {"file": {"root": "live/{http.request.host}", "try_files": ["/to:*"]}}
    target = {
        **_matches("{http.matchers.file.relative}", "^/to:(.+)$", name="to"),
        **_host(_PORT, name="port"),
    }
    own = {"file": {"root": "domains", "try_files": ["/{http.request.host}/"]}}
    scheme, port = ("https", tls.suffix) if tls else ("http", "{http.regexp.port.1}")
    return [
        _route(named, _subroute(_route(target, _redirect(f"{scheme}://{{http.regexp.to.1}}{port}")))),
        *([_route(own, _redirect(f"{scheme}://{{http.request.host}}{port}"))] if tls and insecure else []),
    ]


def _redirect(to: str) -> Json:
    """What a visitor asked for, at `to`. A target without a slash (`*`, or a host of its own) would change that."""
    headers = {"Location": [f"{to}{{http.regexp.path.1}}"], "Cache-Control": [REVALIDATE]}
    send = {"handler": "static_response", "status_code": 308, "headers": headers}
    return _subroute(_route(_matches(_URI, "^(/.*)$", name="path"), send), _route({}, _error(404)))


def _gate() -> Json:
    """Whoever may not simply come in is for the embedded edge, whose files say who may pass."""
    files = [f"/{name}" for name in (gate.ALLOW, gate.MAINTENANCE, gate.PASSWORD)]
    shut = {"file": {"root": "live/{http.request.host}", "try_files": files}}
    return _route(shut, _embedded(keep=False))


def _noindex() -> Json:
    """Previews; `xn--` alone is an international domain."""
    preview = {**_host("^[^.]*--"), "not": [_host("^xn--")]}
    return _route(preview, _headers(deferred=True, set={"X-Robots-Tag": ["noindex"]}), go_on=True)


def _one_slot() -> list[Json]:
    """Tried again because Caddy stats what its glob found, by name: a switch may come between the two.

    Should one come each time, the embedded edge answers, which reads the link itself.
    """
    live = {"file": {"root": "live/{http.request.host}/current", "try_files": ["/root/"]}}
    seen = {"file": {"root": "live/{http.request.host}/current", "try_files": ["/at:*"] * 3}}
    address = {"vars_regexp": {"at": {"name": "at", "pattern": "^/at:([^:]+):([^:]+):([^:]+):([a-z]+)$"}}}
    slot = "sites/{http.regexp.at.1}/{http.regexp.at.2}/slots/{http.regexp.at.3}"
    found = _vars(
        slot=slot,
        root=f"{slot}/root",
        current="sites/{http.regexp.at.1}/{http.regexp.at.2}/current",
        serves="{http.regexp.at.4}",
    )
    return [
        _route(seen, _vars(at="{http.matchers.file.relative}"), go_on=True),
        _route(address, found, _subroute(*_hand_over(), *_refuse(), *_files())),
        _route(live, _embedded()),
    ]


def _hand_over() -> list[Json]:
    """Page rules are for the embedded edge, which reads them; an app answers on its slot's own socket.

    The socket is reached through `current`, which the kernel resolves as it connects: a request that was on its
    way when the old release left reaches the new one. Caddy 2.6 cannot try a request with a body twice, so when
    there is no socket the embedded edge waits for it, with the body still unread.
    """
    listens = {"file": {"root": "{http.vars.current}", "try_files": ["/web.sock"]}}
    pass_on = _proxy("unix/{http.vars.current}/web.sock", keep=False)
    app = _subroute(
        _no_h2c(), _route(listens, _claims_of_visitors(), pass_on), _route({}, _embedded(keep=False))
    )
    return [
        _route({"vars": {"serves": ["app"]}}, app),
        _route({"vars": {"serves": ["rules"]}}, _embedded()),
    ]


def _no_h2c() -> Json:
    """It would carry further requests past the edge, with whatever X-Forwarded-For they like."""
    asked = {"header_regexp": {"Upgrade": {"pattern": "(?i)h2c"}}}
    return _route(asked, _headers(drop=["Upgrade", "Http2-Settings"]), go_on=True)


def _claims_of_visitors() -> Json:
    """reverse_proxy replaces X-Forwarded-For, -Host and -Proto; these it would let through."""
    return _headers(drop=["Forwarded", "Proxy", "X-Real*", "X_Real*", "X-Forwarded*", "X_Forwarded*"])


def _refuse() -> list[Json]:
    return [
        _route({"not": [{"method": ["GET", "HEAD"]}]}, _error(405)),
        _route({"path": [f"/{name}*" for name in HIDDEN]}, _error(404)),
    ]


def _files() -> list[Json]:
    dates = ["If-Modified-Since", "If-Unmodified-Since"]
    gzip_wanted = {"header": {"Accept-Encoding": ["*gzip*"]}}
    return [
        _redirect_to_folder(),
        _route(
            {},
            _content_type(),
            _headers(set={"Content-Type": ["{content_type}"], "Cache-Control": [REVALIDATE]}),
            _headers(deferred=True, drop=dates, delete=["Last-Modified"]),
            go_on=True,
        ),
        _route({"not": [{"path": ["*/", "*.html"]}]}, _subroute(*_no_pages()), go_on=True),
        _route(gzip_wanted, _weaken_etag_of_gzip(), _gzip(), go_on=True),
        _route({}, {"handler": "file_server", "root": "{http.vars.root}", "index_names": ["index.html"]}),
    ]


def _no_pages() -> list[Json]:
    no_extension = {"vars": {"{http.request.uri.path.file.ext}": [""]}}
    return [
        _route(no_extension, _headers(set={"Content-Type": [content_type.UNKNOWN]}), go_on=True),
        _route(_hashed_name(), _headers(set={"Cache-Control": [IMMUTABLE]}), go_on=True),
    ]


def _hashed_name() -> Json:
    date = {"path_regexp": {"pattern": content_type.ONLY_DIGITS}}
    return {"path_regexp": {"pattern": content_type.HASHED_NAME}, "not": [date]}


def _redirect_to_folder() -> Json:
    """`/docs?x=1` -> `/docs/?x=1`. file_server does so as well, but drops the query and decodes the path."""
    plain = {"path_regexp": {"pattern": "^[A-Za-z0-9/._~-]*$"}, "vars": {"{http.request.uri.query}": [""]}}
    folder = {
        **_matches(_URI, r"^/*(/[^?]*[^/?])(\?.*)?$", name="uri"),
        "file": {"root": "{http.vars.root}", "try_files": ["{http.request.uri.path}/index.html"]},
    }
    location = {"Location": ["{http.regexp.uri.1}/{http.regexp.uri.2}"], "Cache-Control": [REVALIDATE]}
    redirect = {"handler": "static_response", "status_code": 308, "headers": location}
    return _route({"not": [plain]}, _subroute(_route(folder, redirect)), go_on=True)


def _content_type() -> Json:
    """By our table, whatever the machine's says. "" leaves it to file_server: a folder, so its index.html."""
    both = [(ending, kind) for lower, kind in content_type.TYPES.items() for ending in (lower, lower.upper())]
    return {
        "handler": "map",
        "source": "{http.request.uri.path.file.ext}",
        "destinations": ["{content_type}"],
        "mappings": [{"input": ending, "outputs": [kind]} for ending, kind in [("", ""), *both]],
        "defaults": [content_type.UNKNOWN],
    }


def _gzip() -> Json:
    """Whole answers only: a compressed part (206) would be neither the one nor the other."""
    kinds = [f"{kind}*" for kind in content_type.COMPRESSIBLE]
    return {
        "handler": "encode",
        "encodings": {"gzip": {}},
        "minimum_length": content_type.SMALLEST_COMPRESSED,
        "match": {"status_code": [200], "headers": {"Content-Type": kinds}},
    }


def _weaken_etag_of_gzip() -> Json:
    to_weak = {"Etag": [{"search_regexp": '^"', "replace": 'W/"'}]}
    return _headers(deferred=True, replace=to_weak, require={"headers": {"Content-Encoding": ["gzip"]}})


def _errors() -> list[Json]:
    its_own = {"file": {"root": "{http.vars.root}", "try_files": ["/404.html"]}}
    serve_its_own = {"handler": "file_server", "root": "{http.vars.root}", "status_code": "404"}
    not_found = [
        _route({**its_own}, {"handler": "rewrite", "uri": "/404.html"}, serve_its_own),
        _route({}, _page("not_found")),
    ]
    cannot_be = _matches("{http.error.message}", "file name too long|invalid argument")
    conditional = ["If-Match", "If-None-Match", "If-Range", "Range"]
    return [
        _noindex(),
        _recent(),
        _ask_again(),
        _route(
            {},
            _headers(drop=conditional, delete=["Content-Type"], set={"Cache-Control": ["no-store"]}),
            _headers(deferred=True, delete=["Accept-Ranges", "Etag", "Last-Modified"]),
            go_on=True,
        ),
        _route(_matches(_STATUS, "^405$"), _page("method", {"Allow": ["GET, HEAD"]})),
        _route({**_matches(_STATUS, "^502$"), **_SILENT}, _page("no_answer")),
        _route(
            _matches(_STATUS, "^50[234]$"), _page("unavailable", {"Retry-After": [str(pages.RETRY_AFTER)]})
        ),
        _route({"not": [_HAS_SLOT]}, _page("no_site")),
        _route(_matches(_STATUS, "^404$"), _subroute(*not_found)),
        _route(cannot_be, _subroute(*not_found)),
        _route({}, _page("broken")),
    ]


def _recent() -> Json:
    """A page opened before a switch may still ask for its scripts: the embedded edge looks for them."""
    missing = {**_matches(_STATUS, "^404$"), **_hashed_name(), "vars": {"serves": ["files"]}}
    return _route(missing, _embedded())


def _ask_again() -> Json:
    """An app that went without a word is asked again, once, when that can do no harm."""
    harmless = {"method": ["GET", "HEAD"], "header": {"Content-Length": None, "Transfer-Encoding": None}}
    return _route({**_matches(_STATUS, "^502$"), **_SILENT, **harmless}, _embedded())


def _page(name: str, more: Json | None = None) -> Json:
    return {
        "handler": "static_response",
        "status_code": pages.status(name),
        "headers": {"Content-Type": ["text/html; charset=utf-8"], **(more or {})},
        "body": pages.page(name).decode(),
    }


def _proxy(dial: str, *, keep: bool) -> Json:
    """A connection that is not kept cannot be closed just as a request with a body sets out on it.

    Only connecting is tried again by Caddy: a request that ends an app's process is not sent a hundred times.
    """
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "transport": {"protocol": "http", "keep_alive": {"enabled": keep}, "compression": False},
        "load_balancing": {
            "try_duration": "5s",
            "try_interval": "20ms",
            "retry_match": [{"method": ["NEVER"]}],
        },
    }


def _embedded(*, keep: bool = True) -> Json:
    """Always the same process, whatever is live."""
    return _proxy(_EMBEDDED, keep=keep)


def _headers(
    *,
    deferred: bool = False,
    set: Json | None = None,
    delete: list[str] | None = None,
    drop: list[str] | None = None,
    replace: Json | None = None,
    require: Json | None = None,
) -> Json:
    """`drop` takes headers from the request; the rest is about the response."""
    response = {"deferred": deferred, "set": set, "delete": delete, "replace": replace, "require": require}
    said = {key: value for key, value in response.items() if value}
    about = {"request": {"delete": drop or []}, **({"response": said} if said else {})}
    return {"handler": "headers", **about}


def _route(match: Json, *handle: Json, go_on: bool = False) -> Json:
    """`go_on`: the routes behind this one have their say too."""
    return {**({"match": [match]} if match else {}), "handle": list(handle), "terminal": not go_on}


def _matches(subject: str, pattern: str, name: str = "") -> Json:
    return {"vars_regexp": {subject: {"pattern": pattern, "name": name}}}


def _host(pattern: str, name: str = "") -> Json:
    return {"header_regexp": {"Host": {"pattern": pattern, "name": name}}}


def _vars(**values: str | bool) -> Json:
    return {"handler": "vars", **values}


def _subroute(*routes: Json) -> Json:
    return {"handler": "subroute", "routes": list(routes)}


def _error(status: int) -> Json:
    return {"handler": "error", "status_code": status}
