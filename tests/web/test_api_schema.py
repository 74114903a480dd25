"""The API says what it does: every operation, asked of a real server, answers as `/openapi.json` has it."""

from __future__ import annotations

import copy
import json
from typing import Any

import api_examples
import jsonschema_rs
import pytest
import schemathesis
from api_story import Story
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks


@pytest.fixture
def story(request, tmp_path_factory):
    one = Story(tmp_path_factory.mktemp("story"))
    request.addfinalizer(one.close)
    one.tell()
    return one


def operations(schema: dict[str, Any]):
    return {one["operationId"]: one for path in schema["paths"].values() for one in path.values()}


def closed(schema: Any) -> Any:
    """The same, but a field that is not declared is wrong."""
    if isinstance(schema, dict):
        found = {name: closed(one) for name, one in schema.items()}
        return {**found, "additionalProperties": False} if "properties" in found else found
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


def held(schema: dict[str, Any], shape: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        {**closed(copy.deepcopy(shape)), "components": closed(schema["components"])}
    )


def test_every_operation_answers_as_declared_whatever_it_is_sent_and_shows_an_example(story):
    declared = operations(story.schema)
    assert sorted(story.answers) == sorted(declared), "a route that the story does not visit"
    kept = json.loads(api_examples.FILE.read_text("utf-8"))
    now = api_examples.examples(story)
    for name, answer in story.answers.items():
        one = declared[name]
        assert one["summary"] and {"401", "403", "422", "500"} <= set(one["responses"]), name
        content = one["responses"][str(answer.status)]["content"][answer.kind]
        if answer.kind != "application/json":
            continue
        assert content["schema"], name
        shape = held(story.schema, content["schema"])
        for what, body in (("answered", answer.body), ("example", content["example"])):
            wrong = [f"{error.instance_path}: {error.message}" for error in shape.iter_errors(body)]
            assert not wrong, f"{name}: {what}: {wrong}"
        why = f"{name} answers otherwise than its example: run scripts/examples"
        assert fields(kept[name]["answered"]) == fields(now[name]["answered"]), why
        assert content["example"] == kept[name]["answered"]
    wrong = tried(story, examples=1, derandomize=True)
    assert not wrong, "\n".join(wrong)


def fields(answer: Any) -> Any:
    if isinstance(answer, list):
        return [fields(one) for one in answer[:1]]
    return sorted(answer) if isinstance(answer, dict) else None


@pytest.mark.soak
def test_much_that_is_sent_by_chance_is_answered_as_declared(story):
    wrong = tried(story, examples=40, derandomize=False)
    assert not wrong, "\n".join(wrong)


KNOWN = {
    "site": ("shop", "blog"), "env": ("production", "next"), "release": ("r1", "r2", "live"), "target": ("r1", "main"),
    "snapshot": ("s1", "latest"), "branch": ("next",), "actor": ("ana",), "preview_id": ("next",),
    "from": ("production",), "to": ("next",), "rehearsal": ("latest",),
}  # fmt: skip
"""What is there, so that not all is refused at the door."""
NEVER = {"sites_remove", "server_gc", "server_fsck"}
"""What would take the story away, or long."""


def tried(story: Story, *, examples: int, derandomize: bool) -> list[str]:
    """What was not answered as it is declared, or not by the one error shape."""
    schema = schemathesis.openapi.from_dict(story.schema)
    found: dict[str, str] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.definition.raw["operationId"] not in NEVER:
            for negative in (False, True):
                once(story, operation, negative, examples, derandomize, found)
    return list(found.values())


def once(
    story: Story, operation, negative: bool, examples: int, derandomize: bool, found: dict[str, str]
) -> None:
    mode = schemathesis.GenerationMode.NEGATIVE if negative else schemathesis.GenerationMode.POSITIVE

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate], derandomize=derandomize,
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def run(case, data) -> None:
        for part in (case.path_parameters, case.query, case.body):
            for name in part if isinstance(part, dict) else ():
                if name in KNOWN and data.draw(st.booleans()):
                    part[name] = data.draw(st.sampled_from(KNOWN[name]))
        if isinstance(case.query, dict) and "follow" in case.query:
            case.query["follow"] = "false"
        known = {"Authorization": f"Bearer {story.token}"}
        answer = case.call(base_url=f"http://{story.server.listen}", headers=known, timeout=60)
        try:
            case.validate_response(
                answer,
                checks=[
                    checks.status_code_conformance,
                    checks.content_type_conformance,
                    checks.response_schema_conformance,
                    checks.response_headers_conformance,
                ],
            )
            said = answer.json() if answer.status_code >= 400 else {}
            assert answer.status_code < 500 or "of its own" not in said["error"]["message"], answer.text
        except (FailureGroup, AssertionError, ValueError) as error:
            failures = error.exceptions if isinstance(error, FailureGroup) else [error]
            for one in failures:
                sent = f"{case.path_parameters} {case.query} {case.body!r}"[:500]
                said = f"{operation.label}: {one}\n  {sent}\n  {answer.status_code} {answer.text[:300]}"
                found.setdefault(f"{operation.label} {str(one)[:60]}", said)

    run()
