"""What is live, as manifests of Kubernetes that its own published schemas accept."""

from __future__ import annotations

import kubernetes_validate
import pytest
import yaml

SETTINGS = """
[processes]
mailer = "echo $$; exec sleep $(echo 1000)"
release = "true"

[processes.web]
command = "exec python3 -m http.server --bind 127.0.0.1 $PORT"
count = 2
stop_timeout = "9s"
memory = "200MB"

[health]
path = "/up.txt"
timeout = "20s"

[data]
files = ["uploads"]

[cron]
"*/5 * * * *" = "echo 'tidy: \\"up\\"'"
"""
IMAGE = f"registry.example.org/blog@sha256:{'a' * 64}"


def of_kind(found, kind, name=""):
    return next(one for one in found if one["kind"] == kind and one["metadata"]["name"].endswith(name))


def valid(found) -> None:
    for one in found:
        for version in ("1.31", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)


def test_an_app_is_exported_with_all_that_it_runs_and_no_secret(shared, desk):
    desk.write("gitdeploy.toml", SETTINGS)
    desk.commit("one", up_txt="up")
    assert desk.push("main").ok
    shared.cli("config", "set", desk.site, "COLOR=red: #1")
    shared.cli("config", "set", desk.site, "TOKEN=-", "--secret", stdin="hush\n")
    shared.cli("domain", "add", desk.site, f"{desk.site}.example.org")
    words = ("export", "kubernetes", desk.site)
    refused = shared.cli(*words, check=False)
    assert refused.returncode == 2 and "has no image" in refused.stderr
    said = shared.facts(*words, "--image", IMAGE)
    found, text = said["manifests"], shared.cli(*words, "--image", IMAGE).stdout
    assert list(yaml.safe_load_all(text)) == found and "hush" not in text
    valid(found)
    kinds = [one["kind"] for one in found]
    assert kinds == [
        "ConfigMap",
        "Deployment",
        "Service",
        "Ingress",
        "PodDisruptionBudget",
        "Deployment",
        "CronJob",
    ]
    web = of_kind(found, "Deployment", desk.site)
    pod = web["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (web["spec"]["replicas"], pod["terminationGracePeriodSeconds"], container["image"]) == (
        2,
        9,
        IMAGE,
    )
    assert container["readinessProbe"]["httpGet"]["path"] == "/up.txt"
    assert container["startupProbe"]["failureThreshold"] == 20
    assert container["resources"]["limits"]["memory"] == str(200 << 20)
    assert {"name": f"{desk.site}-secrets", "key": "TOKEN"} in [
        one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one
    ]
    assert of_kind(found, "ConfigMap")["data"] == {"COLOR": "red: #1"} and said["secrets"] == ["TOKEN"]
    hosts = [one["host"] for one in of_kind(found, "Ingress")["spec"]["rules"]]
    assert hosts == [f"{desk.site}.localhost", f"{desk.site}.example.org"]
    (mailer,) = of_kind(found, "Deployment", "-mailer")["spec"]["template"]["spec"]["containers"]
    assert mailer["command"][-1] == "echo $$$$; exec sleep $$(echo 1000)", (
        "as Kubernetes takes it for the shell's"
    )
    service = of_kind(found, "Service")["spec"]
    labels = web["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items() and web["spec"]["selector"]["matchLabels"] == labels
    assert of_kind(found, "CronJob")["spec"]["schedule"] == "*/5 * * * *"
    assert any(one.startswith("Before a new release, once: true") for one in said["notes"])
    assert any("mount a volume" in one for one in said["notes"])


def test_a_site_of_files_is_its_image(shared, desk):
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    said = shared.facts("export", "kubernetes", desk.site, "--image", "registry.example.org/blog:r1")
    valid(said["manifests"])
    kinds = [one["kind"] for one in said["manifests"]]
    assert kinds == ["Deployment", "Service", "Ingress", "PodDisruptionBudget"]
    (container,) = said["manifests"][0]["spec"]["template"]["spec"]["containers"]
    assert "command" not in container and container["readinessProbe"]["httpGet"]["path"] == "/"
    assert any("not named by its digest" in one for one in said["notes"])
    with pytest.raises(kubernetes_validate.ValidationError):
        valid([{**said["manifests"][0], "spec": {}}])
