"""HTTPS on Caddy: certificates are got when a visitor first asks for a name, so none is in the configuration.

Caddy asks two questions over HTTP, and answers both itself, from files (`questions`):

    /<secret>/ask?domain=H                 may a certificate be got for H? Yes when `live/H` leads somewhere
    /<secret>/certificate?server_name=H    is there one of its own? `certificates/H.pem`, or 204

So new certificates need neither the daemon nor the embedded edge. The secret keeps the second from visitors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.host import HOST_PATTERN

Json = dict[str, Any]


@dataclass(frozen=True)
class Tls:
    """`listen` is HOST:PORT. `acme` is the directory of the authority ("": Let's Encrypt), `email` whom it may write
    to, `ca_root` a file with the root that the directory's own certificate hangs on ("": the system's).
    """

    listen: str
    acme: str = ""
    email: str = ""
    ca_root: str = ""
    secret: str = ""

    @property
    def suffix(self) -> str:
        """What an address needs behind its host name: "" for port 443, or `:8443`."""
        port = self.listen.rpartition(":")[2]
        return "" if port == "443" else f":{port}"


def automation(http: str, tls: Tls) -> Json:
    """The `tls` app. Both listeners answer challenges, at whatever ports they are."""
    here = f"http://{reach(http)}/{tls.secret}"
    host = tls.listen.rpartition(":")[0].strip("[]")
    challenges = {
        "http": {"alternate_port": _port(http)},
        "tls-alpn": {"alternate_port": _port(tls.listen)},
        **({"bind_host": host} if host not in ("0.0.0.0", "::") else {}),
    }
    issuer = {
        "module": "acme",
        "challenges": challenges,
        **({"ca": tls.acme} if tls.acme else {}),
        **({"email": tls.email} if tls.email else {}),
        **({"trusted_roots_pem_files": [tls.ca_root]} if tls.ca_root else {}),
    }
    own = {"via": "http", "url": f"{here}/certificate"}
    policy = {"on_demand": True, "issuers": [issuer], "get_certificate": [own]}
    return {"automation": {"policies": [policy], "on_demand": {"ask": f"{here}/ask"}}}


def questions(tls: Tls) -> Json:
    """The route that answers them. No authority gives a certificate for `localhost`, and each refusal counts."""
    asked, named = "{http.request.uri.query.domain}", "{http.request.uri.query.server_name}"
    may = {
        "path": [f"/{tls.secret}/ask"],
        "vars_regexp": {asked: {"pattern": f"^{HOST_PATTERN}$"}},
        "file": {"root": "live", "try_files": [f"/{asked}/"]},
        "not": [{"vars_regexp": {asked: {"pattern": r"(^|\.)localhost$"}}}],
    }
    own = {
        "path": [f"/{tls.secret}/certificate"],
        "vars_regexp": {named: {"pattern": f"^{HOST_PATTERN}$"}},
        "file": {"root": "certificates", "try_files": [f"/{named}.pem"]},
    }
    send = [
        {"handler": "rewrite", "uri": "{http.matchers.file.relative}"},
        {"handler": "file_server", "root": "certificates"},
    ]
    routes = [
        {"match": [may], "handle": [_status(200)], "terminal": True},
        {"match": [own], "handle": send, "terminal": True},
        {"match": [{"path": [f"/{tls.secret}/certificate"]}], "handle": [_status(204)], "terminal": True},
        {"handle": [_status(404)]},
    ]
    return {
        "match": [{"path": [f"/{tls.secret}/*"]}],
        "handle": [{"handler": "vars", "skip_log": True}, {"handler": "subroute", "routes": routes}],
        "terminal": True,
    }


def reach(listen: str) -> str:
    """Where this machine itself finds what listens at `listen`."""
    host, _, port = listen.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def _status(code: int) -> Json:
    return {"handler": "static_response", "status_code": code}


def _port(listen: str) -> int:
    return int(listen.rpartition(":")[2])
