"""A service brought to what is wanted, and waited for.

`docker service update` says 0 even when it was taken back, so the truth is read from the service itself: its
`UpdateStatus` and the labels of what it came to, which the engine takes back together with all the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from docker import APIClient
from docker.errors import APIError

from gitdeploy.domain.swarm import LABEL, Unit
from gitdeploy.errors import Failed
from gitdeploy.runtime.swarm import said
from gitdeploy.runtime.swarm.containers import release_of, trouble
from gitdeploy.runtime.swarm.engine import Engine, Service, Task
from gitdeploy.runtime.swarm.wanted import Wanted, secret_file, wanted

_T = TypeVar("_T")
_PAUSE = 0.3
_ROOM = 120.0
"""Seconds beyond a check's own that nodes may take to fetch an image and start it."""
_STEADY = 1.0
"""Seconds that new containers have to be well together: those of a service on every node are not made all at once."""
_BACK = ("rollback_completed", "rollback_paused")
_GOING = ("updating", "rollback_started")
_QUOTED = 20  # lines


def put(engine: Engine, unit: Unit, network: str) -> None:
    """Have the engine run `unit`, and wait until it does: every container healthy, for as long as they are watched.

    Nothing is touched when that is so already. Raises Failed, with what its containers said last, when it is not: the
    engine has then gone back to what it ran before, or runs nothing when there was nothing.
    """
    since = time.time()
    found = find(engine, unit)
    if not tell(engine, unit, network, found):
        return
    try:
        if found is None:
            _wait_first(engine, unit)
        else:
            _wait_update(engine, unit)
    except Failed as error:
        raise _explained(engine, unit, error, since) from error


def tell(engine: Engine, unit: Unit, network: str, found: Service | None) -> bool:
    """Have the engine begin to run `unit`, of which `found` is the service that there is; False when that is so
    already. Raises Failed when it refuses.
    """
    if found is not None and is_as_wanted(found, unit):
        return False
    made = wanted(unit, network, secret(engine, unit))
    if found is None:
        _create(engine, unit, made)
    else:
        _update(engine, unit, made)
    return True


def find(engine: Engine, unit: Unit) -> Service | None:
    """The service of that program in that environment, whatever it runs."""
    return next(iter(engine.services(_place(unit))), None)


def is_as_wanted(service: Service, unit: Unit) -> bool:
    """Whether it is what is wanted, and nothing is under way with it."""
    state = service.get("UpdateStatus", {}).get("State", "completed")
    labels: dict[str, str] = service["Spec"]["Labels"]
    return labels.get(f"{LABEL}.wanted") == unit.digest and state not in _GOING


def has_arrived(service: Service, tasks: list[Task], unit: Unit) -> bool:
    """Whether an update to `unit` is over: all that should run is of its release, and runs. The state of an update may
    still be that of the one before, so by itself it says nothing. Raises Failed when the engine went back, or stopped.
    """
    state = service.get("UpdateStatus", {}).get("State", "")
    if service["Spec"]["Labels"].get(f"{LABEL}.wanted") != unit.digest:
        if state in _BACK:
            raise Failed(f"The swarm took {unit.program} back.")
        return False
    if state in _GOING:
        return False
    due = [one for one in tasks if one["DesiredState"] == "running"]
    fresh = [one for one in due if release_of(one) == unit.release and one["Status"]["State"] == "running"]
    if len(fresh) == len(due) and (len(due) >= unit.replicas if unit.replicas is not None else bool(due)):
        return True
    if state == "paused":
        raise Failed(f"{unit.program} is stuck: {service['UpdateStatus'].get('Message', '')}.")
    return False


def secret(engine: Engine, unit: Unit) -> str:
    """The id of the secret that holds the unit's secret variables, made when it is missing; "" when it has none."""
    if not unit.secrets:
        return ""

    def act(client: APIClient) -> str:
        for one in client.secrets(filters={"name": unit.secret}):
            if one["Spec"]["Name"] == unit.secret:
                return str(one["ID"])
        labels = {name: unit.labels[name] for name in (f"{LABEL}.site", f"{LABEL}.env")}
        return str(client.create_secret(unit.secret, secret_file(unit), labels)["ID"])

    return engine.ask(act)


# Private


def _create(engine: Engine, unit: Unit, made: Wanted) -> None:
    def act(client: APIClient) -> None:
        try:
            client.create_service(
                made.task, name=unit.name, labels=unit.labels, mode=made.mode, update_config=made.update,
                rollback_config=made.rollback, endpoint_spec=made.endpoint,
            )  # fmt: skip
        except APIError as error:
            if error.status_code != 409:  # made by the try before this one
                raise

    _refused(unit, lambda: engine.ask(act))


def _update(engine: Engine, unit: Unit, made: Wanted) -> None:
    def act(client: APIClient) -> None:
        labels = [f"{name}={value}" for name, value in _place(unit).items()]
        found = client.services(filters={"label": labels})[0]
        if found["Spec"]["Labels"].get(f"{LABEL}.wanted") == unit.digest:
            return  # by the try before this one
        client.update_service(
            found["ID"], found["Version"]["Index"], made.task, name=found["Spec"]["Name"], labels=unit.labels,
            mode=made.mode, update_config=made.update, rollback_config=made.rollback, endpoint_spec=made.endpoint,
        )  # fmt: skip

    _refused(unit, lambda: engine.ask(act))


def _refused(unit: Unit, act: Callable[[], _T]) -> _T:
    try:
        return act()
    except APIError as error:
        raise Failed(f"The swarm refuses {unit.program}: {error.explanation or error}.") from error


def _wait_first(engine: Engine, unit: Unit) -> None:
    """A service that was just made has no update: what counts is whether as many run as are wanted, and go on to."""
    until = time.monotonic() + _ROOM + (unit.check.timeout if unit.check else 0)
    steady = max(_STEADY, unit.check.uptime if unit.check else 0)
    since: float | None = None
    while True:
        service = find(engine, unit)
        tasks = engine.tasks(service["ID"]) if service else []
        failed = next((why for one in tasks if (why := trouble(one))), "")
        if failed:
            raise Failed(f"{unit.program} does not run: {failed}.")
        running = sum(one["Status"]["State"] == "running" for one in tasks)
        due = (
            sum(one["DesiredState"] == "running" for one in tasks) if unit.replicas is None else unit.replicas
        )
        now = time.monotonic()
        if running >= due and (tasks or not due):
            since = since or now
            if now - since >= steady or not due:
                return
        else:
            since = None
        if now > until:
            raise Failed(
                f"Only {running} of {due} of {unit.program} run after {_ROOM:.0f} s.", _waits_for(tasks)
            )
        time.sleep(_PAUSE)


def _wait_update(engine: Engine, unit: Unit) -> None:
    until = time.monotonic() + _ROOM + (unit.check.timeout if unit.check else 0)
    while True:
        service = find(engine, unit)
        if service is None:
            raise Failed(f"{unit.program} was removed meanwhile.")
        if has_arrived(service, engine.tasks(service["ID"]), unit):
            return
        if time.monotonic() > until:
            state = service.get("UpdateStatus", {}).get("Message", "")
            raise Failed(f"{unit.program} is not there after {_ROOM:.0f} s: {state}.")
        time.sleep(_PAUSE)


def _waits_for(tasks: list[Task]) -> str:
    why = next((one["Status"].get("Err") for one in tasks if one["Status"].get("Err")), "")
    return f"The engine says: {why}" if why else "See: docker service ps"


def _explained(engine: Engine, unit: Unit, error: Failed, since: float) -> Failed:
    """With the reason that a container gave, and the lines it said last."""
    service = find(engine, unit)
    if service is None:
        return error
    fresh = [one for one in engine.tasks(service["ID"]) if release_of(one) == unit.release]
    why = next((reason for one in fresh if (reason := trouble(one))), "")
    secrets = {one["ID"]: unit.secrets.values() for one in fresh}
    lines = said.masked(said.lines(engine, service["ID"], count=200, since=since), secrets)[-_QUOTED:]
    quoted = [f"The last lines of {unit.program}:", *(one.text for one in lines)]
    hint = "\n".join(quoted) if lines else error.hint
    return Failed(
        f"{error.message.removesuffix('.')}: {why}." if why and why not in error.message else error.message,
        hint,
    )


def _place(unit: Unit) -> dict[str, str]:
    """The labels of one program of one environment."""
    return {name: unit.labels[name] for name in (f"{LABEL}.site", f"{LABEL}.env", f"{LABEL}.program")}
