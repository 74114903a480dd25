from __future__ import annotations

import re

import pytest
from support import Server, eventually, running
from web_support import Tab, said

server = pytest.fixture(scope="module")(running)


@pytest.fixture
def fresh(request):
    """A server that nobody has set up."""
    one = Server()
    request.addfinalizer(one.destroy)
    one.start()
    return one


def test_the_first_admin_is_made_once_with_the_printed_code(fresh):
    code = re.search(r"first admin +http://\S+/setup\?code=([0-9a-f-]+)", fresh.said())[1]
    tab = Tab(fresh)
    assert tab.http.get("/").headers["location"] == "/sign-in"
    assert "first admin" in tab.get("/sign-in")
    assert f'value="{code}"' in tab.get(f"/setup?code={code}")

    wrong = tab.http.post("/setup", data={"name": "ana", "code": "0000-0000-0000-0000"})
    assert wrong.status_code == 403 and "This is not the code." in said(wrong.text)
    odd = tab.http.post("/setup", data={"name": "a b", "code": code})
    assert odd.status_code == 422 and "not a name for an actor" in said(odd.text)
    made = tab.http.post("/setup", data={"name": "ana", "code": code})
    secret = re.search(r"gd_live_[\w-]+", made.text)[0]
    assert made.status_code == 200 and "No sites yet" in tab.get("/")
    assert fresh.api("/v1/access", secret).status == 200

    assert tab.http.get("/setup").headers["location"] == "/sign-in"
    again = tab.http.post("/setup", data={"name": "eve", "code": code})
    assert again.status_code == 403 and "set up already" in said(again.text)
    fresh.stop()
    begin = fresh.log.stat().st_size
    fresh.start()
    assert "first admin" not in fresh.said(begin)


def test_a_session_is_over_with_its_token_its_rights_or_when_signed_out(server):
    server.cli("site", "create", "blog")
    admin, ana = Tab(server, server.token("boss", "admin")), server.token("ana", "viewer", "blog")
    tab, other = Tab(server, ana), Tab(server, ana)
    cookie = next(iter(tab.http.cookies.jar))
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"
    assert cookie.value not in (server.home / "ledger.db").read_bytes().decode("latin-1")
    assert "blog" in said(tab.get("/"))

    assert tab.post("/sign-out").headers["location"] == "/sign-in?done=signed-out"
    tab.http.cookies.set("gitdeploy_session", cookie.value)
    assert tab.http.get("/").headers["location"] == "/sign-in", "the cookie counts no more"
    assert "blog" in other.get("/"), "the other browser stays"

    server.cli("access", "revoke", "ana", "--site", "blog")
    assert other.http.get("/").status_code == 303
    assert Tab(server).http.post("/sign-in", data={"token": ana}).status_code == 403, "no role, no session"
    server.cli("access", "grant", "ana", "viewer", "--site", "blog")
    assert other.http.get("/").status_code == 200
    token = next(one["id"] for one in server.facts("token", "list") if one["actor"] == "ana")
    assert admin.post("/tokens/revoke", id=token).status_code == 303
    assert other.http.get("/").status_code == 303
    done = [one["action"] for one in server.facts("events")]
    assert {"session.opened", "session.closed", "token.revoked"} <= set(done)


def test_wrong_tokens_lock_their_address_out_for_longer_each_time(server):
    right = server.token("boss", "admin")
    tab = Tab(server)

    def sign_in(token: str):
        return tab.http.post("/sign-in", data={"token": token, "next": ""})

    assert sign_in(right).status_code == 303
    for _ in range(5):
        assert sign_in("gd_live_wrong").status_code == 403
    locked = sign_in(right)
    assert locked.status_code == 429 and int(locked.headers["retry-after"]) >= 1
    assert "Too many wrong tries" in said(locked.text)
    eventually(lambda: sign_in("gd_live_wrong").status_code == 403)
    assert int(sign_in(right).headers["retry-after"]) > int(locked.headers["retry-after"])
    eventually(lambda: sign_in(right).status_code == 303)
    assert sign_in(right).status_code == 303, "whoever was right begins anew"


def test_forms_of_other_pages_and_other_sessions_do_nothing(server):
    tab = Tab(server, server.token("boss", "admin"))
    before = server.facts("site", "list")
    csrf = tab.csrf
    for headers, fields in (
        ({}, {"name": "evil"}),
        ({}, {"name": "evil", "csrf": Tab(server, server.token("boss")).csrf}),
        ({"Origin": "http://evil.example"}, {"name": "evil", "csrf": csrf}),
        ({"Origin": f"http://blog.{server.listen}"}, {"name": "evil", "csrf": csrf}),
        ({"Sec-Fetch-Site": "same-site"}, {"name": "evil", "csrf": csrf}),
    ):
        answer = tab.http.post("/sites", data=fields, headers=headers)
        assert answer.status_code == 403, (headers, fields)
    as_json = tab.http.post("/sites", json={"name": "evil", "csrf": csrf})
    assert as_json.status_code == 422
    foreign = Tab(server).http.post(
        "/sign-in", data={"token": "x"}, headers={"Origin": "http://evil.example"}
    )
    assert foreign.status_code == 403
    assert Tab(server).http.post("/sites", data={"name": "evil", "csrf": csrf}).status_code == 401
    assert server.facts("site", "list") == before
    own = {"Origin": f"http://{server.listen}", "Sec-Fetch-Site": "same-origin"}
    assert tab.http.post("/sites", data={"name": "good", "csrf": csrf}, headers=own).status_code == 303
    assert tab.http.post("/sites", content=b"csrf=" + b"x" * (2 << 20)).status_code in (413, 422)

    quick = [tab.http.post("/sites", data={"name": "good", "csrf": csrf}).status_code for _ in range(60)]
    assert 429 in quick, "a script in somebody's name is slowed down"


def test_pages_say_what_they_may_load_and_signing_in_leads_only_to_us(server):
    secret = server.token("boss", "admin")
    tab = Tab(server, secret)
    answer = tab.http.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert (
        answer.headers["x-content-type-options"] == "nosniff"
        and answer.headers["cache-control"] == "no-store"
    )
    assert not re.search(r"<style|<script(?! src)|\son\w+=|\sstyle=|javascript:", answer.text)
    for name in re.findall(r'(?:href|src)="(/assets/[^"]+)"', answer.text):
        asset = Tab(server).http.get(name)
        assert asset.status_code == 200 and "immutable" in asset.headers["cache-control"]
    assert tab.http.get("/assets/style.css").status_code == 404

    for next, goal in (
        ("/sites/blog?env=staging", "/sites/blog?env=staging"), ("//evil.example", "/"), ("https://evil.example", "/"),
        ("/\\evil.example", "/"), ("", "/"),
    ):  # fmt: skip
        answer = Tab(server).http.post("/sign-in", data={"token": secret, "next": next})
        assert answer.headers["location"] == goal
    assert Tab(server).http.get("/sites/x?a=b").headers["location"] == "/sign-in?next=%2Fsites%2Fx%3Fa%3Db"
    secure = Tab(server).http.post("/sign-in", data={"token": secret}, headers={"X-Forwarded-Proto": "https"})
    assert secure.headers["set-cookie"].startswith("__Host-") and "Secure" in secure.headers["set-cookie"]
