"""Tests accessibility by axe, reduced motion, narrow screens and the focus, and the dialog of the agent."""

import re
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Visit
from tests.e2e.fed import STARTED, feed
from tests.e2e.screenshots import STATES, in_state
from tests.e2e.system import System, Visitor

PROMPT = "You think of people who use a keyboard, a screen reader or a magnifier, always."

SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]},
}


def axe_finds_nothing(visitor: Visitor) -> None:
    """Checks every rule in the light scheme, and the rules about colours in the dark scheme too."""
    for scheme, options in SCHEMES.items():
        visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(visitor.page, options=options)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_any_state(system: System, browser: Browser, state: str) -> None:
    with in_state(system, browser, state) as visitor:
        axe_finds_nothing(visitor)


def test_the_cursor_blinks_unless_the_user_prefers_reduced_motion(visit: Visit) -> None:
    visitor = visit()
    feed(visitor, ("started", STARTED), ("delta", {"text": "1. Undo", "totalLength": 7}))
    visitor.ask("Moving page")
    cursor = visitor.page.get_by_test_id("cursor")
    expect(cursor).to_have_css("animation-name", "blink")
    visitor.page.emulate_media(reduced_motion="reduce")
    expect(cursor).to_have_css("animation-name", "none")


def test_nothing_is_wider_than_a_narrow_phone(visit: Visit) -> None:
    visitor = visit(viewport={"width": 360, "height": 640})
    is_too_wide = "document.documentElement.scrollWidth > innerWidth"
    visitor.open()
    assert not visitor.page.evaluate(is_too_wide)
    visitor.ask(f"{'W' * 120} unicode fast")
    # The form fills a phone's screen, so the page scrolls to the answer.
    expect(visitor.page.get_by_role("heading", level=2).first).to_be_in_viewport()
    visitor.waits_for_the_answer()
    assert not visitor.page.evaluate(is_too_wide)


def test_the_focus_stays_on_the_page_when_the_focused_control_disappears(visit: Visit, system: System) -> None:
    visitor = visit()
    page, keys = visitor.page, visitor.page.keyboard
    kept = page.get_by_role("region", name="Your requests")
    visitor.ask("First focused page fast")
    visitor.waits_for_the_answer()
    visitor.ask("Second focused page")
    system.hold_model()
    page.get_by_role("button", name="Cancel", exact=True).focus()
    system.release_model()
    visitor.waits_for_the_answer()
    # The focused button has disappeared with the end of the job.
    expect(page.get_by_role("region", name="Second focused page")).to_be_focused()

    # The test deletes one request, declines to delete all, and then deletes all.
    kept.get_by_role("button", name="Delete Second focused page from this browser").focus()
    keys.press("Enter")
    expect(kept.get_by_role("listitem")).to_have_count(1)
    expect(kept.get_by_role("button", name=re.compile("^First focused page"))).to_be_focused()
    kept.get_by_role("button", name="Delete all").focus()
    keys.press("Enter")
    expect(kept.get_by_role("button", name="Keep")).to_be_focused()
    keys.press("Enter")
    expect(kept.get_by_role("button", name="Delete all")).to_be_focused()
    for key in ("Enter", "Tab", "Enter"):
        keys.press(key)
    expect(kept).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()


def test_a_users_own_agent_can_be_created_used_and_deleted(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Your agent").click()
    expect(dialog).to_be_focused()
    dialog.get_by_label("Name").fill("Ada")
    dialog.get_by_label("Role").fill("x")
    axe_finds_nothing(visitor)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("Role must have at least 5 characters.")).to_be_visible()
    expect(dialog.get_by_text("System prompt is required.")).to_be_visible()
    expect(dialog.get_by_label("Role")).to_be_focused()
    dialog.get_by_label("Role").fill("Accessibility advocate")
    dialog.get_by_label("Focus").fill("What keyboard users run into")
    dialog.get_by_label("System prompt").fill(PROMPT)
    dialog.get_by_label("Temperature").fill("0,4")
    dialog.get_by_label("Search in files").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Your agent")).to_be_focused()

    page.get_by_role("button", name="Your agent").click()
    expect(dialog.get_by_label("System prompt")).to_have_value(PROMPT)
    expect(dialog.get_by_label("Temperature")).to_have_value("0.4")
    expect(dialog.get_by_text("Current models ignore it")).to_be_visible()
    expect(dialog.get_by_label("Search in files")).not_to_be_checked()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    visitor.ask("Agent page fast")
    visitor.waits_for_the_answer()
    expect(page.locator("dl").get_by_text("Ada")).to_be_visible()
    page.get_by_role("button", name="Your agent").click()
    dialog.get_by_role("button", name="Delete agent").click()
    dialog.get_by_role("group", name="Delete this agent?").get_by_role("button", name="Delete").click()
    expect(dialog).to_have_count(0)
