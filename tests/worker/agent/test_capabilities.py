"""Tests that the capabilities of a model are requested once, and that unknown ones count as absent."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic

from worker.agent import capabilities as module
from worker.agent.capabilities import Capabilities, ModelCatalogue
from worker.sandbox.models import MODELS, described


class Provider:
    """Represents the provider: gives the answer that the test set, and records the requests."""

    def __init__(self, answer: Callable[[], httpx2.Response]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        return self.answer()

    def capabilities(self, *models: str) -> list[Capabilities]:
        async def ask() -> list[Capabilities]:
            http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
            async with AsyncAnthropic(api_key="k", max_retries=0, http_client=http_client) as client:
                catalogue = ModelCatalogue(client)
                return await asyncio.gather(*map(catalogue.capabilities, models))

        return asyncio.run(ask())


def provider_of(model: str) -> Provider:
    return Provider(lambda: httpx2.Response(200, json=described(MODELS[model])))


def test_jobs_of_one_model_request_its_capabilities_once() -> None:
    provider = provider_of("claude-sonnet-5-5")
    first, *others = provider.capabilities(*["claude-sonnet-5-5"] * 20)
    assert provider.asked == ["/v1/models/claude-sonnet-5-5"] and others == [first] * 19


@pytest.mark.parametrize(
    ("model", "thinks", "takes_temperature"),
    [
        ("claude-sonnet-5-5", True, False),
        ("claude-haiku-5-5", True, False),
        ("claude-sonnet-4-6", False, True),
        ("claude-sonnet-4-5-20250929", False, True),
    ],
)
def test_the_capabilities_of_a_model_are_those_that_the_provider_states(
    model: str, thinks: bool, takes_temperature: bool
) -> None:
    [found] = provider_of(model).capabilities(model)
    assert (found.thinks_adaptively, found.takes_temperature) == (thinks, takes_temperature)
    assert found.efforts == MODELS[model].efforts and found.max_tokens == MODELS[model].max_tokens


@pytest.mark.parametrize(
    ("wanted", "efforts", "sent"),
    [
        ("medium", ("low", "medium", "high"), "medium"),
        ("max", ("low", "medium", "high"), "high"),
        ("xhigh", ("low", "medium", "high", "max"), "high"),
        ("low", ("medium", "high"), None),
        ("high", (), None),
    ],
)
def test_the_effort_is_the_highest_that_the_model_has_up_to_the_wanted_one(
    wanted: str, efforts: tuple[str, ...], sent: str | None
) -> None:
    assert Capabilities(efforts=efforts).effort(wanted) == sent


def raises() -> httpx2.Response:
    raise httpx2.ConnectError("refused")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx2.Response(404, json={"type": "error", "error": {"type": "not_found_error", "message": "no"}}),
        lambda: httpx2.Response(500, text="<html>"),
        lambda: httpx2.Response(200, text="<html>", headers={"content-type": "text/html"}),
        lambda: httpx2.Response(200, json=[]),
        lambda: httpx2.Response(200, json="model"),
        lambda: httpx2.Response(200, json={"id": "m", "object": "model"}),
        lambda: httpx2.Response(200, json={"capabilities": {"effort": None, "thinking": "yes"}}),
        lambda: httpx2.Response(200, json={"capabilities": {"effort": {"low": True}, "thinking": {"types": []}}}),
        raises,
    ],
)
def test_an_unusable_answer_about_a_model_counts_as_no_capabilities(answer: Callable[[], httpx2.Response]) -> None:
    [found] = Provider(answer).capabilities("m")
    assert (found.efforts, found.thinks_adaptively, found.max_tokens) == ((), False, None)


def test_capabilities_that_were_not_known_are_requested_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [{"error": 1}, described(MODELS["sandbox"])]
    provider = Provider(lambda: httpx2.Response(200, text=json.dumps(answers[min(len(provider.asked), 2) - 1])))

    async def ask() -> tuple[Capabilities, Capabilities, Capabilities]:
        http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(provider))
        async with AsyncAnthropic(api_key="k", max_retries=0, http_client=http_client) as client:
            catalogue = ModelCatalogue(client)
            first, second = await catalogue.capabilities("m"), await catalogue.capabilities("m")
            monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", -1.0)
            return first, second, await catalogue.capabilities("m")

    first, second, third = asyncio.run(ask())
    assert first == second == Capabilities() and third.efforts and len(provider.asked) == 2


def test_a_provider_that_does_not_answer_keeps_no_job_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.05)

    async def ask() -> Capabilities:
        async def never(request: httpx2.Request) -> httpx2.Response:
            await asyncio.Event().wait()
            raise AssertionError

        http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(never))
        async with AsyncAnthropic(api_key="k", max_retries=0, http_client=http_client) as client:
            return await ModelCatalogue(client).capabilities("m")

    assert asyncio.run(asyncio.wait_for(ask(), 10)) == Capabilities()
