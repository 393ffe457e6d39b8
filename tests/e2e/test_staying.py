"""Tests that a request shows its whole answer once, across reloads, second tabs, the history and long waits."""

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.system import System


def test_after_two_minutes_without_an_end_the_page_reports_a_time_out(visit: Visit) -> None:
    visitor = visit()
    visitor.page.clock.install()
    job_id = visitor.ask("Endless page silent")
    status = visitor.page.get_by_test_id("status")
    expect(status).to_have_text("Waiting for the sandbox")
    visitor.page.clock.fast_forward("01:50")
    expect(status).to_have_text("Waiting for the sandbox")
    visitor.page.clock.fast_forward("00:11")
    expect(visitor.page.get_by_role("alert")).to_contain_text("Request timed out after 2 minutes")
    expect(visitor.page.get_by_role("button", name="Try again")).to_be_enabled()
    # The job still exists, and can be opened again and cancelled.
    visitor.page.get_by_role("button", name="Look again").click()
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    assert visitor.read(job_id)["status"] == "cancelled"


def test_a_reload_in_the_middle_of_an_answer_continues_it(visit: Visit) -> None:
    visitor = visit()
    job_id = visitor.ask("Reloaded page")
    before = visitor.waits_for_text()
    visitor.page.reload()
    visitor.waits(lambda: visitor.text().startswith(before))
    expect(visitor.page.get_by_label("Page or component")).to_have_value("Reloaded page")
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
    assert len(visitor.creations) == 1


def test_a_finished_job_is_shown_after_a_reload_in_a_second_tab_and_through_the_history(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    job_id = visitor.ask("Finished page fast")
    visitor.waits_for_the_answer()
    page.reload()
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)

    tab = visitor.context.new_page()
    tab.goto(page.url)
    expect(tab.get_by_text("Copy all as Markdown")).to_be_visible()
    expect(tab.get_by_role("article")).to_have_count(visitor.cards.count())

    page.get_by_role("button", name="New request").click()
    expect(visitor.cards).to_have_count(0)
    page.go_back()
    visitor.waits_for_the_answer()
    page.go_forward()
    expect(page.get_by_text("What could be better?")).to_be_visible()
    page.go_back()
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
    assert len(visitor.creations) == 1


def test_the_text_follows_its_end_until_the_reader_scrolls_up(visit: Visit, system: System) -> None:
    visitor = visit()
    visitor.ask("Scrolled page long")
    pane = visitor.live_text
    distance = "pane => pane.scrollHeight - pane.clientHeight - pane.scrollTop"
    visitor.waits(lambda: visitor.text() != "" and pane.evaluate("pane => pane.scrollHeight > 2 * pane.clientHeight"))
    system.hold_model()
    visitor.waits(lambda: pane.evaluate(distance) < 50)
    pane.hover()
    visitor.page.mouse.wheel(0, -300)
    expect(visitor.page.get_by_role("button", name="Follow the text")).to_be_visible()
    place = pane.evaluate("pane => pane.scrollTop")
    length = len(visitor.text())
    system.release_model()
    visitor.waits(lambda: len(visitor.text()) > length + 1_000)
    system.hold_model()
    assert pane.evaluate("pane => pane.scrollTop") == place
    visitor.page.get_by_role("button", name="Follow the text").click()
    visitor.waits(lambda: pane.evaluate(distance) < 50)
    system.release_model()
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()


def test_a_job_that_expires_while_it_is_watched_says_so(visit: Visit, system: System) -> None:
    visitor = visit()
    visitor.ask("Expired page silent")
    expect(visitor.page.get_by_test_id("status")).to_have_text("Waiting for the sandbox")
    system.stack.redis.delete(*system.stack.redis.keys("suggestion:*"))
    expect(visitor.page.get_by_role("alert")).to_contain_text("expired")
    expect(visitor.page.get_by_role("button", name="Try again")).to_be_visible()
