"""Saves pictures of every state of the page in tests/screenshots/, in three widths, light and dark."""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.browsers import NoBrowser, launched
from tests.e2e.fed import COMPLETE, NOW, STARTED, SUGGESTION, FedEvent, feed, options
from tests.e2e.system import System, Visitor, visitor
from tests.stack import ROOT, Person

FOLDER = ROOT / "tests/screenshots"
WIDTHS = {360: 740, 768: 1024, 1440: 900}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PROMPT = "You think of people who use a keyboard, a screen reader or a magnifier, always."

LOOKS: list[FedEvent] = [
    ("note", {"text": "I look for where the checkout page is built."}),
    ("tool", {"name": "Grep", "input": {"pattern": r"def\s+[Cc]heckout\b"}}),
    ("tool", {"name": "Read", "input": {"file_path": "app/payment/PaymentStep.tsx"}}),
    ("note", {"text": "The payment step asks for everything at once; I look at how the delivery is chosen."}),
    ("tool", {"name": "Glob", "input": {"pattern": "app/**/delivery*.tsx"}}),
    ("tool", {"name": "Read", "input": {"file_path": "app/payment/PaymentStep.tsx"}}),
]

State = Callable[[Visitor], None]
STATES: dict[str, State] = {}


def state(function: State) -> State:
    """Registers a state of the page under the name of the function, which brings the page into that state."""
    STATES[function.__name__.replace("_", "-")] = function
    return function


def _alert(visitor: Visitor, words: str) -> None:
    expect(visitor.page.get_by_role("alert")).to_contain_text(words)


def _delta(text: str) -> FedEvent:
    return ("delta", {"text": text, "totalLength": len(text)})


@state
def idle(visitor: Visitor) -> None:
    visitor.open()
    expect(visitor.page.get_by_text("sandbox (default)")).to_be_attached()


@state
def invalid(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_label("Additional context").fill("Too long. " * 120)
    visitor.page.get_by_role("button", name="Suggest features").click()
    expect(visitor.page.get_by_text("is required")).to_be_visible()


@state
def creating(visitor: Visitor) -> None:
    visitor.page.route(re.compile("/suggest-feature$"), lambda route: None)
    visitor.open()
    visitor.fill("Checkout page")
    visitor.page.get_by_role("button", name="Suggest features").click()
    expect(visitor.page.get_by_test_id("status")).to_have_text("Sending your request…")


@state
def connecting_without_a_worker(visitor: Visitor) -> None:
    feed(visitor, ("queued", {"position": 1, "workers": 0}))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text("is not running at the moment")).to_be_visible()


@state
def connecting_in_the_queue(visitor: Visitor) -> None:
    feed(visitor, ("queued", {"position": 4, "workers": 2}))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text("3 requests are before yours")).to_be_visible()


@state
def looking(visitor: Visitor) -> None:
    feed(visitor, ("started", STARTED), *LOOKS)
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_label("What the agent looks at")).to_contain_text("app/payment/PaymentStep.tsx")


@state
def streaming_at_first(visitor: Visitor) -> None:
    feed(visitor, ("started", STARTED), *LOOKS, _delta("The checkout page is built in `app/payment` and asks fo"))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_test_id("cursor")).to_be_visible()


@state
def streaming_with_cards(visitor: Visitor) -> None:
    text = """The checkout page is built in `app/payment`.

1. Undo
Why: People err.

A way back.

- Delay it

2. Say what a step costs before it is taken
Why: Most people leave where the price of delivery is first """
    whole = ("suggestion", {"index": 0, "suggestion": SUGGESTION})
    feed(visitor, ("started", STARTED), *LOOKS, whole, _delta(text))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_role("button", name="Copy suggestion 1")).to_be_visible()
    expect(visitor.page.get_by_test_id("cursor")).to_be_visible()


@state
def second_attempt(visitor: Visitor) -> None:
    started = ("started", {**STARTED, "attempt": 2, "cause": "model_error"})
    feed(visitor, started, _delta("1. Undo\nWhy: People err"))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text(re.compile("Attempt 2"))).to_be_visible()


@state
def reconnecting(visitor: Visitor) -> None:
    feed(visitor, ("started", STARTED), _delta("1. Undo\nWhy: People err"), is_broken_off=True)
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text("Reconnecting…")).to_be_visible()


@state
def complete(visitor: Visitor) -> None:
    visitor.ask("Checkout page fast")
    visitor.waits_for_the_answer()


@state
def complete_with_the_text(visitor: Visitor) -> None:
    visitor.ask("Profile page unicode fast")
    visitor.waits_for_the_answer()
    visitor.waits(lambda: visitor.text() != "")


@state
def waiting_for_the_provider(visitor: Visitor) -> None:
    wait = ("waiting", {"reason": "overloaded", "until": NOW + 90_000})
    feed(visitor, ("started", STARTED), _delta("1. Undo\nWhy: People err"), wait)
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text("asked again in")).to_be_visible()


@state
def cut_short_with_files(visitor: Visitor) -> None:
    options(visitor, repositoryUrl="https://github.com/acme/shop/blob/main/", agent="Accessibility advocate")
    feed(visitor, ("started", STARTED), ("complete", COMPLETE))
    visitor.ask("Checkout page")
    expect(visitor.page.get_by_text("The model was cut short")).to_be_visible()
    visitor.page.get_by_role("button", name="Refine suggestion 1").click()


@state
def kept_and_chosen(visitor: Visitor) -> None:
    for page in ("Checkout page fast", "Search results of everything there is in the shop fast", "Orders rejected"):
        visitor.ask(page)
        newest = visitor.page.get_by_role("region", name="Your requests").get_by_role("listitem").first
        expect(newest).to_contain_text(page)
        expect(newest).to_contain_text(re.compile(r"\d suggestions|Failed"))
    visitor.page.get_by_role("button", name="Compare…").click()
    for box in visitor.page.get_by_role("checkbox").all():
        box.check()


@state
def compared(visitor: Visitor) -> None:
    kept_and_chosen(visitor)
    visitor.page.get_by_role("button", name="Compare", exact=True).click()
    expect(visitor.page.get_by_role("dialog")).to_be_visible()


@state
def cancelled(visitor: Visitor) -> None:
    visitor.ask("Checkout page")
    expect(visitor.cards).to_have_count(1)
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    _alert(visitor, "Cancelled")


@state
def failed(visitor: Visitor) -> None:
    visitor.ask("Checkout page bad output fast")
    _alert(visitor, "malformed")


@state
def timed_out(visitor: Visitor) -> None:
    visitor.page.clock.install()
    visitor.ask("Checkout page silent")
    expect(visitor.page.get_by_test_id("status")).to_have_text("Waiting for the sandbox")
    visitor.page.clock.fast_forward("02:01")
    _alert(visitor, "timed out")


@state
def too_many_requests(visitor: Visitor) -> None:
    visitor.open()
    person = Person(visitor.system.stack, visitor.name)
    for _ in range(10):
        person.ask("Checkout page rejected")
    person.close()
    visitor.fill("Checkout page")
    visitor.page.get_by_role("button", name="Suggest features").click()
    _alert(visitor, "10 times a minute")


@state
def unreachable(visitor: Visitor) -> None:
    visitor.open()
    visitor.fill("Checkout page")
    visitor.system.proxy.cut()
    visitor.page.get_by_role("button", name="Suggest features").click()
    _alert(visitor, "cannot be reached")


@state
def signed_out(visitor: Visitor) -> None:
    visitor.context.clear_cookies()
    visitor.open()
    visitor.fill("Checkout page")
    visitor.page.get_by_role("button", name="Suggest features").click()
    _alert(visitor, "signed out")


@state
def not_there(visitor: Visitor) -> None:
    visitor.open("/?job=5b0c3f5e-2f0b-4f0e-9d0c-3a1c5d1f7e11")
    _alert(visitor, "expired")


@state
def agent_empty(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_role("button", name="Your agent").click()
    expect(visitor.page.get_by_label("System prompt")).to_be_visible()


@state
def agent_invalid(visitor: Visitor) -> None:
    agent_empty(visitor)
    visitor.page.get_by_role("button", name="Save").click()
    expect(visitor.page.get_by_text("Name is required")).to_be_visible()


@state
def agent_filled(visitor: Visitor) -> None:
    agent_empty(visitor)
    values = {"Name": "Ada", "Role": "Accessibility advocate", "Focus": "What keyboard users run into"}
    for label, value in {**values, "System prompt": PROMPT}.items():
        visitor.page.get_by_label(label).fill(value)
    visitor.page.get_by_role("button", name="Save").click()
    expect(visitor.page.get_by_role("dialog")).to_have_count(0)
    agent_empty(visitor)


@contextmanager
def in_state(system: System, browser: Browser, name: str) -> Iterator[Visitor]:
    """Yields a visitor who sees the page in this state, and repairs the system afterwards."""
    with visitor(system, browser, port=system.proxy.port, viewport={"width": 1440, "height": 900}) as person:
        STATES[name](person)
        yield person
        person.page.unroute_all(behavior="ignoreErrors")
    system.repair()


def take(system: System, browser: Browser, name: str) -> None:
    with in_state(system, browser, name) as person:
        for width, height in WIDTHS.items():
            person.page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                person.page.emulate_media(color_scheme=scheme)
                is_dialog = person.page.get_by_role("dialog").count() > 0
                path = FOLDER / f"{name}-{width}-{scheme}.png"
                person.page.screenshot(path=path, full_page=not is_dialog, animations="disabled")


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in STATES]:
        print(f"unknown states: {unknown}; known: {list(STATES)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        try:
            browser = launched(playwright)
        except NoBrowser as error:
            print(error, file=sys.stderr)
            return 1
        system = System(Path(folder))
        try:
            for name in names or STATES:
                take(system, browser, name)
        finally:
            browser.close()
            system.close()
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
