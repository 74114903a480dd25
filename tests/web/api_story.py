"""One visit of a whole API: every operation that there is, asked of a real server so that it goes well."""

from __future__ import annotations

import getpass
import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from guest_book import APP
from receivers import Receiver
from ssh_door import SshDoor
from support import GITDEPLOY, Project, Server, eventually

SETTINGS = """[webhooks]
allow_private = ["127.0.0.0/8"]
[snapshots]
copy = "%s"
[backup]
to = "%s"
every = ""
"""
SHOP = '[data]\ndatabases = ["sqlite:data/app.db"]\nfiles = ["uploads"]\n[content]\nnever = []\n'
BLOG = "[production]\napprovals = 1\n"
SLOW = '[build]\ncommand = "sleep 300"\noutput = "out"\n'
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILn/wYlIqf2BRGfcaMTo4XjWHuAYcazfkmDxHmpQMqlf ana@laptop"


@dataclass(frozen=True)
class Answer:
    """`asked` is the body of the request, None without one."""

    status: int
    kind: str
    body: Any
    asked: Any


class Story:
    """`answers` has by operation what the first one that went well was answered. `shop` is an app with data, a preview
    `next` and a history; `blog` a site whose releases need approval.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("copies", "backups"):
            (folder / name).mkdir()
        self.folder = folder
        self.server = server = Server(settings=SETTINGS % (folder / "copies", folder / "backups"))
        server.start()
        self.door: SshDoor | None = None
        self.builder = ""
        self.token = server.token("boss", "admin")
        self.http = self.by(self.token)
        self.schema: dict[str, Any] = self.http.get("/openapi.json").json()
        self.answers: dict[str, Answer] = {}

    def close(self) -> None:
        if self.door is not None:
            self.door.close()
        self.http.close()
        self.server.destroy()

    def by(self, token: str) -> httpx.Client:
        known = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"http://{self.server.listen}", headers=known, timeout=60)

    def ask(self, asked: str, body: object = None, *, who: httpx.Client | None = None, **given: Any) -> Any:
        """`asked` is a method and a path of the schema; `given` fills it in, and what is left is the query."""
        method, path = asked.split()
        operation = self.schema["paths"][path][method.lower()]
        names = set(re.findall(r"\{(\w+)\}", path))
        query = {name: value for name, value in given.items() if name not in names}
        found = (who or self.http).request(
            method, path.format(**{name: value for name, value in given.items() if name in names}),
            params=query, json=body,
        )  # fmt: skip
        assert found.is_success, f"{asked}: {found.status_code} {found.text}"
        kind = found.headers["content-type"].partition(";")[0]
        said = found.json() if kind == "application/json" else found.text if kind != "image/png" else ""
        self.answers.setdefault(operation["operationId"], Answer(found.status_code, kind, said, body))
        return said

    def tell(self) -> None:
        self._sites()
        self._shop()
        self._data()
        self._cutovers()
        self._people()
        self._blog()
        self._server()

    def _push(self, project: Project, *words: str) -> None:
        pushed = project.push(*words)
        assert pushed.ok, pushed.out

    def _sites(self) -> None:
        ask = self.ask
        for name in ("shop", "blog", "old"):
            ask("POST /v1/sites", {"name": name})
        ask("PATCH /v1/sites/{site}", {"name": "older"}, site="old")
        ask("DELETE /v1/sites/{site}", site="older", confirm=True)
        ask("PUT /v1/sites/{site}/lock", {"reason": "stock-taking"}, site="shop")
        ask("DELETE /v1/sites/{site}/lock", site="shop")
        change = {"GREETING": {"value": "hello"}, "KEY": {"value": "k", "secret": True}}
        ask("PATCH /v1/sites/{site}/config", {"set": change}, site="shop")
        ask("GET /v1/sites/{site}/config", site="shop")

    def _shop(self) -> None:
        ask = self.ask
        shop = self.shop = Project(self.folder / "shop", self.server)
        shop.git("remote", "add", "managed", self.server.remote("shop", "maya", "maintainer"))
        shop.write("app.py", APP.read_text())
        shop.write("migrations", "")
        shop.write("version", "one")
        shop.write("gitdeploy.toml", SHOP)
        shop.commit("The guest book", Procfile="web: exec python3 app.py\nrelease: python3 app.py migrate\n")
        self._push(shop, "main")
        self._post("note/first")
        self._post("file/cat.png")
        self._push(shop, "HEAD:refs/heads/next")
        self._post("note/next", "next--shop")
        ask("GET /v1/sites", limit=2)
        ask("GET /v1/sites/{site}", site="shop")
        (build, *_) = ask("GET /v1/sites/{site}/builds", site="shop")
        ask("GET /v1/builds/{id}", id=build["id"])
        ask("GET /v1/builds/{id}/log", id=build["id"])
        ask("GET /v1/sites/{site}/environments", site="shop")
        ask("POST /v1/sites/{site}/previews/{branch}/extend", {"ttl": "30d"}, site="shop", branch="next")
        ask("POST /v1/sites/{site}/promote", {"target": "main", "dry_run": True}, site="shop")
        shop.write("version", "two")
        bad = shop.commit("Two columns")
        self._push(shop, "HEAD:refs/heads/two")
        ask("GET /v1/sites/{site}/diff", site="shop")
        ask("POST /v1/sites/{site}/promote", {"target": "two", "reason": "as asked"}, site="shop")
        ask("POST /v1/sites/{site}/rollback", {"reason": "it was slow"}, site="shop")
        ask("GET /v1/sites/{site}/incident/advice", site="shop")
        ask("GET /v1/sites/{site}/incident", site="shop")
        ask("GET /v1/sites/{site}/incidents", site="shop")
        boxes = ["verified", "database", "documented"]
        note = {"text": "The second column was slow.", "tick": boxes}
        ask("PATCH /v1/sites/{site}/incident", note, site="shop")
        shop.write("version", "three")
        shop.commit(f"One column, instead of {bad[:10]}")
        self._push(shop, "main")
        ask("POST /v1/sites/{site}/incident/close", site="shop", number=1)
        ask("POST /v1/sites/{site}/redeploy", {"reason": "again"}, site="shop")
        ask("GET /v1/sites/{site}/releases", site="shop")
        ask("POST /v1/sites/{site}/releases/{release}/pin", site="shop", release="r1")
        ask("GET /v1/sites/{site}/live", site="shop")
        ask("POST /v1/sites/{site}/verify", site="shop")
        ask("GET /v1/sites/{site}/processes", site="shop")
        ask("GET /v1/sites/{site}/export/kubernetes", site="shop", image="registry.example.org/shop:r1")
        ask("POST /v1/sites/{site}/scale", {"counts": {"web": 1}}, site="shop")
        ask("POST /v1/sites/{site}/run", {"command": "echo hello"}, site="shop")
        ask("GET /v1/sites/{site}/logs", site="shop")
        ask("GET /v1/sites/{site}/access-log", site="shop")
        later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        order = ask("POST /v1/sites/{site}/promote", {"target": "two", "at": later}, site="shop")
        ask("GET /v1/sites/{site}/schedules", site="shop")
        ask("POST /v1/sites/{site}/schedules/{schedule}/cancel", site="shop", schedule=order["id"])
        ask("PUT /v1/sites/{site}/maintenance", {"message": "Back soon."}, site="shop")
        ask("DELETE /v1/sites/{site}/maintenance", site="shop")
        ask("PUT /v1/sites/{site}/password", {"password": "open sesame", "env": "next"}, site="shop")
        ask("DELETE /v1/sites/{site}/password", site="shop", env="next")
        ask("PATCH /v1/sites/{site}/allow", {"env": "next", "add": ["192.0.2.0/24"]}, site="shop")
        ask("GET /v1/sites/{site}/allow", site="shop", env="next")
        ask("PATCH /v1/sites/{site}/allow", {"env": "next", "remove": ["192.0.2.0/24"]}, site="shop")
        ask("POST /v1/sites/{site}/domains", {"domain": "www.example.org"}, site="shop")
        ask("GET /v1/sites/{site}/domains", site="shop")
        ask("DELETE /v1/sites/{site}/domains/{domain}", site="shop", domain="www.example.org")

    def _data(self) -> None:
        ask = self.ask
        ask("POST /v1/sites/{site}/snapshots", {"label": "before the sale"}, site="shop")
        ask("GET /v1/sites/{site}/snapshots", site="shop")
        for verb in ("verify", "pin"):
            ask(f"POST /v1/sites/{{site}}/snapshots/{{snapshot}}/{verb}", site="shop", snapshot="s1")
        ask("GET /v1/sites/{site}/snapshots/{snapshot}", site="shop", snapshot="s1")
        for root in ("sites", "projects"):
            restore = f"POST /v1/{root}/{{site}}/snapshots/{{snapshot}}/restore"
            ask(restore, {"env": "next", "reason": "a fresh start"}, site="shop", snapshot="s1")
        wish = {"confirm": True, "rehearse": True}
        ask("POST /v1/sites/{site}/snapshots/{snapshot}/restore", wish, site="shop", snapshot="s1")
        ask("GET /v1/sites/{site}/rehearsals", site="shop")
        ask("GET /v1/sites/{site}/rehearsals/{rehearsal}", site="shop", rehearsal="latest")
        self._post("note/sold-out", "next--shop")
        down = {"from": "production", "to": "next", "database": True, "files": True}
        ask("POST /v1/sites/{site}/clone", down, site="shop")
        ask("POST /v1/sites/{site}/clone", {**down, "dry_run": True}, site="shop")
        ask("GET /v1/sites/{site}/moves", site="shop")
        ask("POST /v1/sites/{site}/snapshots/fetch", {}, site="shop")
        ask("POST /v1/sites/{site}/snapshots", {"env": "next"}, site="shop")
        ask("DELETE /v1/sites/{site}/snapshots/{snapshot}", site="shop", snapshot="latest")

    def _cutovers(self) -> None:
        for root in ("sites", "projects"):
            requests = f"/v1/{root}/{{site}}/cutover-requests"
            for decision in ("reject", "cancel", "run"):
                wish = {"preview_id": "next", "customer_note": "The new catalogue"}
                one = self.ask(f"POST {requests}", wish, site="shop")
                path = f"{requests}/{{request}}"
                self.ask(f"GET {path}", site="shop", request=one["id"])
                if decision != "run":
                    self.ask(f"POST {path}/{decision}", {"reason": "not yet"}, site="shop", request=one["id"])
            ticket = {"external_ticket_ref": "SHOP-12"}
            self.ask(f"POST {path}/ack", ticket, site="shop", request=one["id"])
            self.ask(f"POST {path}/run", ticket, site="shop", request=one["id"])
            self.ask(f"GET {requests}", site="shop")

    def _people(self) -> None:
        ask = self.ask
        ask("POST /v1/access", {"actor": "ana", "role": "operator", "site": "shop"})
        ask("GET /v1/access")
        ask("GET /v1/sites/{site}/access/{env}", site="shop", env="production")
        made = ask("POST /v1/tokens", {"actor": "ana", "expires": "30d", "sites": ["shop"]})
        ask("GET /v1/tokens")
        ask("DELETE /v1/tokens/{id}", id=made["id"])
        key = ask("POST /v1/keys", {"actor": "ana", "key": KEY})
        ask("GET /v1/keys")
        door = httpx.HTTPTransport(uds=str(self.server.home / "run" / "api.sock"))
        with httpx.Client(transport=door, base_url="http://localhost") as local:
            body = {"key": key["id"], "pid": os.getpid(), "site": "shop", "service": "git-receive-pack"}
            opened = ask("POST /v1/sessions", body, who=local)
            ask("DELETE /v1/sessions/{name}", who=local, name=opened["session"])
        ask("DELETE /v1/keys/{id}", id=key["id"])
        ask("DELETE /v1/access/{actor}", actor="ana", site="shop")
        receiver = Receiver()
        address = f"{receiver.url}/hook"
        hook = ask("POST /v1/webhooks", {"url": address, "site": "shop", "events": ["*"]})
        ask("GET /v1/webhooks")
        ask("POST /v1/webhooks/{id}/test", id=hook["id"])
        for reason in ("stock-taking", ""):
            how = {"json": {"reason": reason}} if reason else {}
            self.http.request("PUT" if reason else "DELETE", "/v1/sites/shop/lock", **how)
        receiver.gets("/hook", 3)
        sent = eventually(lambda: self._told_of(hook["id"]))
        ask("GET /v1/webhooks/{id}/deliveries", id=hook["id"])
        ask("POST /v1/deliveries/{id}/redeliver", id=sent["id"])
        ask("DELETE /v1/webhooks/{id}", id=hook["id"])
        receiver.close()

    def _told_of(self, hook: str) -> Any:
        """The delivery of an event, once it is written down."""
        found = self.http.get(f"/v1/webhooks/{hook}/deliveries").json()
        return next((one for one in found if one["cause"] == "event"), None)

    def _blog(self) -> None:
        ask = self.ask
        blog = self.blog = Project(self.folder / "blog", self.server)
        blog.git("remote", "add", "managed", self.server.remote("blog", "maya", "maintainer"))
        blog.commit("One", gitdeploy_toml=BLOG, index_html="<h1>one</h1>")
        self._push(blog, "main")
        for number, decision in enumerate(("reject", "approve")):
            blog.commit(f"Version {number}", index_html=f"<h1>{number}</h1>")
            assert not blog.push("main").ok
            (one,) = ask("GET /v1/sites/{site}/approvals", site="blog")
            if decision == "reject":
                ask("POST /v1/approvals/{id}/reject", {"reason": "a typo"}, id=one["id"])
            else:
                ask("POST /v1/approvals/{id}/approve", id=one["id"])
        ask("GET /v1/sites/{site}/approvals", site="blog", all=True)
        look = ask("POST /v1/sites/{site}/pictures", {}, site="blog")
        ask("GET /v1/sites/{site}/pictures/{id}", site="blog", id=look["id"])
        ask("GET /v1/sites/{site}/pictures", site="blog")
        ask(
            "GET /v1/sites/{site}/pictures/{id}/{number}/{side}",
            site="blog",
            id=look["id"],
            number=0,
            side="candidate",
        )
        until = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        frozen = ask("POST /v1/sites/{site}/freezes", {"until": until, "reason": "the sale"}, site="blog")
        ask("GET /v1/sites/{site}/freezes", site="blog")
        ask("DELETE /v1/sites/{site}/freezes/{freeze}", site="blog", freeze=frozen["id"])
        blog.git("checkout", "-q", "-b", "slow")
        blog.commit("Slow", gitdeploy_toml=SLOW)
        pushing = threading.Thread(target=blog.push, args=("slow",))
        pushing.start()
        eventually(lambda: self._newest()["state"] == "building")
        ask("POST /v1/builds/{id}/cancel", id=self._newest()["id"])
        pushing.join()
        ask("DELETE /v1/sites/{site}/previews/{branch}", site="blog", branch="slow")

    def _newest(self) -> Any:
        return self.http.get("/v1/sites/blog/builds").json()[0]

    def _server(self) -> None:
        ask = self.ask
        ask("GET /v1/events", limit=5)
        ask("GET /v1/events/lines", site="blog")
        ask("GET /v1/events/verify")
        ask("GET /v1/doctor")
        ask("POST /v1/gc")
        ask("POST /v1/fsck")
        with self.by("") as nobody, self.by(self.server.token("boss")) as boss:
            begun = ask("POST /v1/login", {"host": "laptop"}, who=nobody)
            ask("POST /v1/login/token", {"device_code": begun["device_code"]}, who=nobody)
            ask("DELETE /v1/login", who=boss)
        self._builders()
        ask("POST /v1/backups")
        ask("GET /v1/backups")

    def _builders(self) -> None:
        known = self.folder / "authorized_keys"
        known.touch()
        self.door = SshDoor(self.folder / "sshd", known)
        self.builder = f"{getpass.getuser()}@127.0.0.1:{self.door.port}"
        atlas = {"name": "atlas", "address": f"ssh://{self.builder}", "places": 4}
        hint = self.http.post("/v1/builders", json=atlas).json()["error"]["hint"]
        command = f"{' '.join(GITDEPLOY)} --home {self.folder}/atlas build-for"
        known.write_text(hint[hint.index("restrict,") :].replace("gitdeploy build-for", command) + "\n")
        self.ask("POST /v1/builders", atlas)
        self.ask("GET /v1/builders")
        self.ask("DELETE /v1/builders/{name}", name="atlas")

    def _post(self, what: str, host: str = "shop") -> None:
        """A visitor leaves something in the guest book."""
        page = self.server.fetch(
            self.server.edge, f"/{what}", method="POST", data=b"", Host=f"{host}.localhost"
        )
        assert page.text == "kept", page.text
