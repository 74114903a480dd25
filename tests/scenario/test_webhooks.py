"""What happens is told to those who asked: signed, in order, until it is taken, and never into a private network."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import threading
import time

import pytest
from receivers import Call, MailServer, Receiver, Reply
from scenario_support import Desk, Shared
from support import eventually

from gitdeploy.service import sending


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def mails():
    one = MailServer()
    yield one
    one.close()


@pytest.fixture(scope="module")
def open_server(mails, request):
    """A server whose webhooks may go to this machine, and whose mail is handed to `mails`."""
    one = Shared(settings=SETTINGS.format(port=mails.port))
    request.addfinalizer(one.destroy)
    one.start()
    return one


SETTINGS = """
[webhooks]
allow_private = ["127.0.0.1/32", "::1/128"]
[mail]
host = "127.0.0.1"
port = {port}
sender = "gitdeploy@example.org"
tls = "none"
"""


def add(server: Shared, url: str, **more: object) -> dict:
    return server.ask("/webhooks", "POST", {"url": url, **more})


def configure(desk: Desk, value: str) -> None:
    body = {"env": "production", "set": {"A": {"value": value, "secret": False}}}
    desk.shared.ask(f"/sites/{desk.site}/config", "PATCH", body)


def deliveries(server: Shared, hook: dict) -> list[dict]:
    return server.ask(f"/webhooks/{hook['id']}/deliveries")


def by_openssl(secret: str, signed: bytes) -> str:
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", secret], input=signed, capture_output=True, check=True
    )
    return said.stdout.decode().split()[-1]


def test_a_push_is_told_to_everybody_in_their_own_words(open_server, receiver, mails, tmp_path):
    desk = open_server.new_site(tmp_path / "project")
    slow = threading.Event()
    flaky = iter([500])

    def reply(call: Call) -> Reply:
        if call.path == "/moved":
            return Reply(302, {"Location": f"{receiver.url}/caught"})
        return Reply(
            next(flaky, 200) if call.path == "/flaky" else 200, hold=slow if call.path == "/slow" else None
        )

    receiver.reply = reply
    told = add(open_server, f"{receiver.url}/own?key=hidden", site=desk.site)
    add(open_server, f"{receiver.url}/slow")
    moved = add(open_server, f"{receiver.url}/moved", events=["release.live"])
    flaky_one = add(open_server, f"{receiver.url}/flaky", events=["release.*"])
    away = Receiver()
    away.close()
    down = add(open_server, f"{away.url}/down", site=desk.site)
    add(open_server, f"{receiver.url}/chat", site=desk.site, format="slack")
    add(open_server, f"{receiver.url}/ada/blog.git", site=desk.site, format="github", token="hub-token")
    add(open_server, f"{receiver.url}/ada/lib/blog", site=desk.site, format="gitlab", token="lab-token")
    add(open_server, f"{receiver.url}/ada/tea", site=desk.site, format="gitea", token="tea-token")
    add(open_server, "mailto:ops@example.org", site=desk.site, format="mail")
    lost = add(open_server, "mailto:nobody@example.org", site=desk.site, format="mail")

    commit = desk.commit("first", index_html="first")
    assert desk.push("main").ok

    def live(path: str) -> list:
        return [one for one in receiver.at(path) if b"release.live" in one.body]

    eventually(lambda: live("/own"), why="who is slow or away holds up others")
    ledger = open_server.ask(f"/events?site={desk.site}")[::-1]
    got = [one.json for one in receiver.at("/own")]
    ours = [one for one in ledger if one["id"] >= got[0]["id"]][: len(got)]
    assert [{**one, "urls": None} for one in got] == [{**one, "urls": None} for one in ours]
    assert got[0]["action"] == "build.queued" or got[0]["action"].startswith("webhook.")
    call = live("/own")[0]
    assert call.json["urls"]["env"] == f"http://{desk.site}.localhost:{open_server.edge.split(':')[1]}/"
    assert call.headers["gitdeploy-event"] == "release.live"
    assert call.headers["gitdeploy-id"] == call.json["id"]
    moment, seal = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", call.headers["gitdeploy-signature"]).groups()
    assert abs(int(moment) - time.time()) < 60
    assert seal == by_openssl(told["secret"], moment.encode() + b"." + call.body)
    assert told["secret"].startswith("whsec_") and told["url"] == f"{receiver.url}/own"

    chat = json.loads(receiver.gets("/chat")[-1].body)["text"]
    assert chat.startswith(f"{desk.site} production: r1 is live (deploy by maya)\n<http://")
    hub = receiver.gets(f"/api/v3/repos/ada/blog/statuses/{commit}", 3)
    assert [(one.json["context"], one.json["state"]) for one in hub] == [
        ("gitdeploy/build", "pending"), ("gitdeploy/build", "success"), ("gitdeploy/production", "success"),
    ]  # fmt: skip
    assert hub[-1].headers["authorization"] == "Bearer hub-token"
    assert hub[-1].json["target_url"] == call.json["urls"]["env"]
    lab = receiver.gets(f"/api/v4/projects/ada%2Flib%2Fblog/statuses/{commit}", 3)
    assert (lab[-1].json["name"], lab[-1].headers["private-token"]) == ("gitdeploy/production", "lab-token")
    tea = receiver.gets(f"/api/v1/repos/ada/tea/statuses/{commit}", 3)
    assert tea[-1].headers["authorization"] == "token tea-token"

    (mail,) = eventually(lambda: mails.mails)
    assert mail["To"] == "ops@example.org"
    assert mail["Subject"] == f"[gitdeploy] {desk.site} production: r1 is live (deploy by maya)"
    assert commit in mail.get_content()
    refused = eventually(lambda: deliveries(open_server, lost))[0]
    assert (refused["state"], refused["status"]) == ("refused", 550)  # nothing to try again

    assert eventually(lambda: deliveries(open_server, moved))[-1]["status"] == 302
    assert not receiver.at("/caught")
    assert eventually(lambda: deliveries(open_server, down))[-1]["error"].startswith("it cannot be reached")
    assert next(one for one in open_server.ask("/webhooks") if one["id"] == down["id"])["next_at"]
    again = receiver.gets("/flaky", 2)
    assert again[0].json["id"] == again[1].json["id"]
    eventually(lambda: len(deliveries(open_server, flaky_one)) == 2)
    assert [one["state"] for one in deliveries(open_server, flaky_one)] == ["delivered", "failed"]
    slow.set()

    sent = deliveries(open_server, told)[0]
    assert sent["request"]["headers"]["Gitdeploy-Signature"] and sent["answer"] == "taken"
    more = open_server.facts("webhook", "redeliver", sent["id"])
    assert (more["state"], more["cause"], more["event"]) == ("delivered", "redelivery", sent["event"])
    assert open_server.cli("webhook", "test", told["id"]).returncode == 0
    assert receiver.at("/own")[-1].json["action"] == "webhook.test"
    assert open_server.cli("webhook", "test", moved["id"], check=False).returncode == 1
    files = open_server.home.glob("ledger.db*")
    said = b"".join(one.read_bytes() for one in (*files, open_server.log))
    for secret in (told["secret"], "hub-token", "lab-token", "key=hidden"):
        assert secret.encode() not in said, secret


def test_a_killed_server_tells_again_what_it_was_telling_and_then_the_rest(open_server, receiver, tmp_path):
    desk = open_server.new_site(tmp_path / "project")
    held = threading.Event()
    receiver.reply = lambda call: Reply(hold=held)
    add(open_server, f"{receiver.url}/own", site=desk.site, events=["config.changed"])
    configure(desk, "1")
    first = receiver.gets("/own")[0]
    configure(desk, "2")
    configure(desk, "3")
    open_server.kill()
    held.set()
    receiver.reply = lambda call: Reply()
    open_server.start()
    calls = receiver.gets("/own", 4)
    assert [one.json["subject"] for one in calls] == ["c1", "c1", "c2", "c3"]
    assert calls[1].json == first.json


def test_who_may_have_webhooks(open_server, receiver, tmp_path):
    desk = open_server.new_site(tmp_path / "project")
    body = {"url": receiver.url, "site": desk.site}
    developer = open_server.secret("dan", "developer", desk.site)
    maintainer = open_server.secret("mia", "maintainer", desk.site)
    stranger = open_server.secret("sam", "maintainer", open_server.new_site(tmp_path / "other").site)
    assert open_server.api("/v1/webhooks", developer, "POST", body).status == 403
    assert open_server.api("/v1/webhooks", maintainer, "POST", {"url": receiver.url}).status == 403
    made = json.loads(open_server.api("/v1/webhooks", maintainer, "POST", body).body)
    for token, status in ((maintainer, 200), (developer, 403), (stranger, 404)):
        assert open_server.api(f"/v1/webhooks/{made['id']}/deliveries", token).status == status
    assert open_server.api(f"/v1/webhooks/{made['id']}", stranger, "DELETE").status == 404
    assert open_server.api(f"/v1/webhooks/{made['id']}", maintainer, "DELETE").status == 200
    assert open_server.ask(f"/webhooks?site={desk.site}") == []


def test_nothing_is_sent_into_a_private_network_and_what_nobody_takes_for_a_day_is_given_up(
    open_server, receiver, mails, tmp_path
):
    desk = open_server.new_site(tmp_path / "project")
    hook = add(
        open_server, f"http://localhost:{receiver.port}/own", site=desk.site, events=["config.changed"]
    )
    configure(desk, "1")
    receiver.gets("/own")
    open_server.stop()
    (open_server.home / "server.toml").unlink()
    open_server.start()
    port = receiver.port
    for url in (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"http://[::1]:{port}/",
                "http://169.254.169.254/latest/", f"http://0x7f000001:{port}/", f"http://[::ffff:127.0.0.1]:{port}/",
                "http://10.0.0.1/", "http://[64:ff9b::7f00:1]/"):  # fmt: skip
        answer = open_server.api("/v1/webhooks", open_server.admin, "POST", {"url": url})
        assert answer.status == 403 and "no public address" in answer.text, url
        assert "allow_private" in answer.text
    for url in ("ftp://example.org/", "nonsense", "http://", "http://exa mple.org/"):
        assert open_server.api("/v1/webhooks", open_server.admin, "POST", {"url": url}).status == 422, url
    configure(desk, "2")

    def last() -> dict:
        return deliveries(open_server, hook)[0]

    eventually(lambda: last()["state"] == "failed")
    assert "no public address" in last()["error"]  # looked up when it is connected to

    open_server.stop()
    with sqlite3.connect(open_server.home / "ledger.db") as ledger:
        ledger.execute("UPDATE webhooks SET failing_since = '2020-01-01T00:00:00.000Z', next_at = NULL")
        ledger.execute("UPDATE events SET at = '2020-01-01T00:00:00.000Z'")
    open_server.start()
    eventually(lambda: last()["state"] == "given_up")
    given_up = open_server.ask(f"/events?site={desk.site}")[0]
    assert (given_up["action"], given_up["subject"]) == ("webhook.given_up", hook["id"])
    assert len(receiver.at("/own")) == 1


def test_an_address_is_judged_as_what_it_is():
    allowed = ("10.1.0.0/16",)
    assert sending.public("8.8.8.8", 80, allowed) == ["8.8.8.8"]
    assert sending.public("10.1.2.3", 80, allowed) == ["10.1.2.3"]
    for one in ("10.2.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fe80::1", "fd00::1", "::",
                "2002:7f00:1::", "ff02::1", "192.168.1.1"):  # fmt: skip
        with pytest.raises(sending.Refused):
            sending.public(one, 80, allowed)
