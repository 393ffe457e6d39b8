"""Tests that users who are signed out can sign in, lose nothing, and continue afterwards."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.system import SIGN_IN_PATH, Visitor


def sign_out(visitor: Visitor) -> Callable[[], None]:
    """Removes the session, and returns a function that restores it."""
    visitor.expects_console("status of 401")
    cookies: list[Any] = visitor.context.cookies()
    visitor.context.clear_cookies()
    return lambda: visitor.context.add_cookies(cookies)


def is_told_to_sign_in(visitor: Visitor) -> None:
    expect(visitor.page.get_by_role("alert")).to_contain_text("You are signed out")
    expect(visitor.page.get_by_role("link", name="Sign in")).to_have_attribute("href", SIGN_IN_PATH)


def come_back(visitor: Visitor) -> None:
    """Fires the events of a page that becomes visible again."""
    visitor.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_first_time_visitor_can_sign_in_and_keeps_the_draft(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    sign_in = sign_out(visitor)
    visitor.open()
    is_told_to_sign_in(visitor)
    visitor.fill("Draft of somebody signed out fast")
    page.get_by_role("button", name="Suggest features").click()
    is_told_to_sign_in(visitor)
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_url(f"**{SIGN_IN_PATH}")
    sign_in()
    visitor.open()
    expect(page.get_by_label("Page or component")).to_have_value("Draft of somebody signed out fast")
    page.get_by_role("button", name="Suggest features").click()
    visitor.waits_for_the_answer()
    assert visitor.read(visitor.job_id())["input"]["pageOrComponent"] == "Draft of somebody signed out fast"


def test_after_signing_in_in_another_tab_this_tab_is_signed_in(visit: Visit) -> None:
    visitor = visit()
    sign_in = sign_out(visitor)
    visitor.open()
    is_told_to_sign_in(visitor)
    sign_in()
    come_back(visitor)
    expect(visitor.page.get_by_text("What could be better?")).to_be_visible()
    expect(visitor.page.get_by_text("sandbox (default)")).to_be_attached()


def test_a_refused_request_is_sent_again_after_signing_in_in_another_tab(visit: Visit) -> None:
    visitor = visit().open()
    visitor.fill("Refused page fast")
    sign_in = sign_out(visitor)
    visitor.page.get_by_role("button", name="Suggest features").click()
    is_told_to_sign_in(visitor)
    expect(visitor.page.get_by_label("Page or component")).to_have_value("Refused page fast")
    come_back(visitor)  # the user has not signed in
    is_told_to_sign_in(visitor)
    sign_in()
    come_back(visitor)
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(visitor.job_id())


def test_a_job_that_was_on_the_screen_is_shown_again_after_signing_in(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    job_id = visitor.ask("Left off page fast")
    visitor.waits_for_the_answer()
    page.evaluate("indexedDB.deleteDatabase('feature-planner')")
    sign_in = sign_out(visitor)
    page.reload()
    is_told_to_sign_in(visitor)
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_url(f"**{SIGN_IN_PATH}")
    sign_in()
    visitor.open("/")
    visitor.waits_for_the_answer()
    assert visitor.job_id() == job_id
    visitor.shows_the_answer_once(job_id)
    # The page returns to the job once; the next visit begins with an empty form.
    visitor.open("/")
    expect(page.get_by_text("What could be better?")).to_be_visible()


def test_an_agent_that_cannot_be_saved_without_a_session_is_kept_and_says_where_to_sign_in(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Your agent").click()
    dialog.get_by_role("button", name="Careful engineer").click()
    sign_in = sign_out(visitor)
    dialog.get_by_role("button", name="Save").click()
    is_told_to_sign_in(visitor)
    sign_in()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. Careful engineer answers your next request.")).to_be_visible()
