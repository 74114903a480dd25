"""Scheduled commands of many sites: what is wrong with one is not felt by the others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from scenario_support import Desk, Shared
from support import eventually

from gitdeploy.service.cron import Cron
from gitdeploy.web.serve import opened

WEB = "web: exec python3 -m http.server --bind 127.0.0.1 $PORT\n"
CRON = '[cron]\n"* * * * *" = "echo $GITDEPLOY_ENV $GITDEPLOY_RELEASE > $GITDEPLOY_DATA/ran"\n'


def scheduled(server, folder: Path) -> Desk:
    desk = server.new_site(folder)
    desk.write("Procfile", WEB)
    desk.write("gitdeploy.toml", CRON)
    desk.commit(desk.site, site_txt=desk.site)
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return desk


def signed(server, desk: Desk) -> Path:
    """What was signed with the release that is live."""
    return next((server.home / "store").rglob(f"*{desk.live['build']}*"))


def broken(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"{}")


def gone(file: Path) -> None:
    file.unlink()


def unreadable(file: Path) -> None:
    file.unlink()
    file.mkdir()


def test_one_damaged_site_does_not_stop_the_schedules_of_others_and_previews_have_none(
    request, tmp_path, caplog
):
    """The server is stopped, and its scheduler looked at where it is a minute later; the apps run on meanwhile."""
    server = Shared()
    request.addfinalizer(server.destroy)
    server.start()
    desks = [scheduled(server, tmp_path / str(number)) for number in range(5)]
    assert desks[0].push("HEAD:refs/heads/feature/x").ok
    damaged = dict(zip(desks[1:4], (broken, gone, unreadable), strict=True))
    for one, damage in damaged.items():
        damage(signed(server, one))
    assert server.stop() == 0
    ran = {one: server.home / "sites" / one.site / "production/data/1/ran" for one in desks}
    for one in ran.values():
        one.unlink(missing_ok=True)  # a minute may have begun before the damage
    with opened(server.home) as ctx:
        cron = Cron()
        cron._seen = datetime(2020, 1, 1, tzinfo=UTC)
        cron.look(ctx)
        eventually(lambda: ran[desks[0]].exists() and ran[desks[4]].exists())
    eventually(lambda: ran[desks[0]].read_text() == "production r1\n")
    assert not (server.home / "sites" / desks[0].site / "feature-x/data/1/ran").exists()
    for one in damaged:
        assert not ran[one].exists()
        assert f"{one.site} production: " in caplog.text
