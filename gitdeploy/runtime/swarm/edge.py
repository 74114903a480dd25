"""What visitors reach: Caddy on every node, and the network in which it finds the containers of releases.

Its configuration is constant, as on one machine. A host is looked up as `<host>.gitdeploy.internal` in the DNS of the
swarm's own network, which every node keeps by itself: it names the containers that are healthy, and no others from the
moment one is told to end. So neither a deploy nor the loss of a node, of the leader or of the server changes it.
Its port is the node's own (`mode=host`): nothing here needs the ingress mesh.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from docker import APIClient
from docker.errors import APIError
from docker.types import (
    ConfigReference,
    ContainerSpec,
    DNSConfig,
    EndpointSpec,
    RestartPolicy,
    ServiceMode,
    TaskTemplate,
    UpdateConfig,
)

from gitdeploy.domain.image import PORT
from gitdeploy.domain.swarm import LABEL, ZONE
from gitdeploy.errors import Failed
from gitdeploy.runtime.edge import pages
from gitdeploy.runtime.swarm.engine import Engine

NAME = "gitdeploy-edge"
_FILE = "/etc/gitdeploy-edge.json"
_ROLE = {f"{LABEL}.role": "edge"}
_STATUS = "{http.error.status_code}"
_SECOND = 10**9


def ensure(engine: Engine, network: str, image: str, port: int) -> None:
    """Have the network, and the edge on every node. Nothing is touched that is as it should be.

    Raises Failed when the engine refuses.
    """
    text = json.dumps(configuration(), sort_keys=True).encode()
    wanted = hashlib.sha256(json.dumps([text.decode(), network, image, port]).encode()).hexdigest()[:16]

    def act(client: APIClient) -> None:
        if not client.networks(names=[network]):
            client.create_network(network, driver="overlay", labels={LABEL: ""}, scope="swarm")
        found = client.services(filters={"name": NAME})
        found = [one for one in found if one["Spec"]["Name"] == NAME]
        if found and found[0]["Spec"]["Labels"].get(f"{LABEL}.wanted") == wanted:
            return
        task = _task(image, network, _config(client, text))
        settings = {
            "labels": {**_ROLE, f"{LABEL}.wanted": wanted},
            "mode": ServiceMode("global"),
            "endpoint_spec": EndpointSpec(
                mode="dnsrr", ports=[{"TargetPort": 80, "PublishedPort": port, "PublishMode": "host"}]
            ),
            # One node after the other: each has its port only once the one before it there has let go of it.
            "update_config": UpdateConfig(
                parallelism=1, order="stop-first", failure_action="rollback", monitor=5 * _SECOND
            ),
        }  # fmt: skip
        if found:
            client.update_service(found[0]["ID"], found[0]["Version"]["Index"], task, name=NAME, **settings)
        else:
            client.create_service(task, name=NAME, **settings)

    try:
        engine.ask(act)
    except APIError as error:
        raise Failed(f"The swarm refuses its edge: {error.explanation or error}.") from error


def configuration() -> dict[str, Any]:
    """Caddy's, with nothing of any site in it."""
    proxy = {
        "handler": "reverse_proxy",
        "dynamic_upstreams": {
            "source": "a", "name": f"{{http.request.host}}.{ZONE}", "port": str(PORT), "refresh": "500ms",
            "resolver": {"addresses": ["127.0.0.11:53"]},
        },
        # One that does not answer its port has just been ended, or its node has: another is tried. That is found out by
        # connecting, so each request has a connection of its own; one that was kept would hang with its node.
        "load_balancing": {"selection_policy": {"policy": "random"}, "try_duration": "5s", "try_interval": "50ms"},
        "transport": {"protocol": "http", "dial_timeout": "500ms", "keep_alive": {"enabled": False}},
    }  # fmt: skip
    preview = {
        "match": [{"header_regexp": {"Host": {"pattern": "^([^x][^.]?|x[^n])[^.]*--"}}}],
        "handle": [
            {"handler": "headers", "response": {"set": {"X-Robots-Tag": ["noindex"]}, "deferred": True}}
        ],
    }
    server = {
        "listen": [":80"],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "20s",
        "idle_timeout": "75s",
        "max_header_bytes": 64 * 1024,
        "routes": [preview, {"handle": [proxy]}],
        "errors": {"routes": [{"handle": [_own_page()]}]},
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"grace_period": "10s", "servers": {"edge": server}}},
    }


def _own_page() -> dict[str, Any]:
    return {
        "handler": "static_response",
        "status_code": _STATUS,
        "headers": {
            "Content-Type": ["text/html; charset=utf-8"],
            "Cache-Control": ["no-store"],
            "Retry-After": ["5"],
        },
        "body": pages.page("unavailable").decode().replace("{", "\\{"),
    }


def _task(image: str, network: str, config: Any) -> Any:
    container = ContainerSpec(
        image,
        command=["caddy", "run", "--config", _FILE],
        env={"XDG_CONFIG_HOME": "/tmp", "XDG_DATA_HOME": "/tmp"},
        configs=[config],
        stop_grace_period=15 * _SECOND,
        # Names outside of the network are nobody's business: who asks for one is told at once that it is not here.
        dns_config=DNSConfig(nameservers=["127.0.0.1"], options=["timeout:1", "attempts:1"]),
        init=True,
    )
    return TaskTemplate(
        container, restart_policy=RestartPolicy("any", delay=_SECOND), networks=[{"Target": network}]
    )


def _config(client: APIClient, text: bytes) -> Any:
    """The engine's own object for it. They never change, so each text has its own."""
    name = f"{NAME}-{hashlib.sha256(text).hexdigest()[:12]}"
    known = [one for one in client.configs(filters={"name": name}) if one["Spec"]["Name"] == name]
    id = known[0]["ID"] if known else client.create_config(name, text, labels=_ROLE)["ID"]
    return ConfigReference(id, name, filename=_FILE)
