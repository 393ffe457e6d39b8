"""Whatever breaks on the way: the answer comes, whole, and once."""

import re
import signal

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.system import System

NO_CONNECTION = r"net::ERR_(CONNECTION|EMPTY|INCOMPLETE|SOCKET|INTERNET)\w+"
RECONNECTING = re.compile("Reconnecting…")


def test_a_network_that_drops_in_the_middle_is_come_back_over(visit: Visit, system: System) -> None:
    visitor = visit(port=system.proxy.port)
    visitor.expects_console(NO_CONNECTION)
    job_id = visitor.ask("Dropped page slow")
    before = visitor.waits_for_text(50)
    system.proxy.cut()
    expect(visitor.page.get_by_text(RECONNECTING)).to_be_visible()
    assert visitor.text().startswith(before)
    system.proxy.mend()
    visitor.waits_for_the_answer(90)
    expect(visitor.page.get_by_text(RECONNECTING)).to_have_count(0)
    visitor.shows_the_answer_once(job_id)


def test_a_server_that_cannot_be_reached_is_no_business_error(visit: Visit, system: System) -> None:
    visitor = visit(port=system.proxy.port).open()
    visitor.expects_console(NO_CONNECTION)
    expect(visitor.page.get_by_text("sandbox (default)")).to_be_attached()
    visitor.fill("Unreachable page fast")
    system.proxy.cut()
    visitor.page.get_by_role("button", name="Suggest features").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    system.proxy.mend()
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.waits_for_the_answer()


def test_a_restart_of_the_api_loses_nothing(visit: Visit, system: System) -> None:
    visitor = visit()
    visitor.expects_console(NO_CONNECTION)
    job_id = visitor.ask("Restarted page")
    visitor.waits_for_text()
    system.restart_web()
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)


def test_without_a_worker_the_page_says_so_and_a_job_can_wait_or_be_cancelled(visit: Visit, system: System) -> None:
    system.worker.stop()
    visitor = visit()
    visitor.ask("Never begun page")
    expect(visitor.page.get_by_text("is not running at the moment")).to_be_visible()
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    job_id = visitor.ask("Waiting page fast")
    expect(visitor.page.get_by_test_id("status")).to_have_text("Waiting in line")
    expect(visitor.page.get_by_text("is not running at the moment")).to_be_visible()
    system.worker = system.stack.start_worker()
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)


def test_after_two_minutes_without_an_end_the_page_gives_up(visit: Visit) -> None:
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
    # The job is still there, and can be looked at and cancelled.
    visitor.page.get_by_role("button", name="Look again").click()
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    assert visitor.read(job_id)["status"] == "cancelled"


def test_an_answer_that_came_while_the_computer_slept_is_shown_and_not_called_late(
    visit: Visit, system: System
) -> None:
    visitor = visit(port=system.proxy.port)
    visitor.expects_console(NO_CONNECTION)
    page = visitor.page
    page.clock.install()
    job_id = visitor.ask("Slept over page")
    expect(page.get_by_test_id("cursor")).to_be_visible()
    system.proxy.cut()
    visitor.waits(lambda: visitor.read(job_id)["status"] == "completed")
    # The lid is opened: timers ring late and all at once, before the network is there.
    page.clock.fast_forward("09:00")
    expect(page.get_by_text(RECONNECTING)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    system.proxy.mend()
    page.evaluate("dispatchEvent(new Event('online'))")
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
    assert len(visitor.creations) == 1


def test_a_reload_in_the_middle_goes_on_where_it_was(visit: Visit) -> None:
    visitor = visit()
    job_id = visitor.ask("Reloaded page")
    before = visitor.waits_for_text()
    visitor.page.reload()
    visitor.waits(lambda: visitor.text().startswith(before))
    expect(visitor.page.get_by_label("Page or component")).to_have_value("Reloaded page")
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
    assert len(visitor.creations) == 1


def test_a_finished_job_comes_back_after_reload_in_a_second_tab_and_through_the_history(visit: Visit) -> None:
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


def test_the_text_follows_its_end_until_the_reader_scrolls_up(visit: Visit) -> None:
    visitor = visit()
    visitor.ask("Scrolled page, long and slow")
    visitor.waits_for_text(1)
    pane = visitor.live_text
    distance = "pane => pane.scrollHeight - pane.clientHeight - pane.scrollTop"
    visitor.waits(lambda: pane.evaluate("pane => pane.scrollHeight > 2 * pane.clientHeight"))
    assert pane.evaluate(distance) < 50
    pane.hover()
    visitor.page.mouse.wheel(0, -300)
    expect(visitor.page.get_by_role("button", name="Follow the text")).to_be_visible()
    place = pane.evaluate("pane => pane.scrollTop")
    length = len(visitor.text())
    visitor.waits(lambda: len(visitor.text()) > length + 1_000)
    assert pane.evaluate("pane => pane.scrollTop") == place
    visitor.page.get_by_role("button", name="Follow the text").click()
    visitor.waits(lambda: pane.evaluate(distance) < 50)
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()


def test_a_job_that_expires_while_it_is_watched_says_so(visit: Visit, system: System) -> None:
    visitor = visit()
    visitor.ask("Expired page silent")
    expect(visitor.page.get_by_test_id("status")).to_have_text("Waiting for the sandbox")
    system.stack.redis.delete(*system.stack.redis.keys("suggestion:*"))
    expect(visitor.page.get_by_role("alert")).to_contain_text("expired")
    expect(visitor.page.get_by_role("button", name="Try again")).to_be_visible()


# Last, because a killed worker is counted among those that are there for another ten seconds.
def test_after_a_killed_worker_the_answer_goes_on_from_what_was_read(visit: Visit, system: System) -> None:
    visitor = visit()
    job_id = visitor.ask("Orphaned page")
    visitor.waits_for_text()
    system.replace_worker(signal.SIGKILL)
    expect(
        visitor.page.get_by_text(re.compile("Attempt 2.*(goes|went) on from what it ha[sd] already read"))
    ).to_be_visible(timeout=25_000)
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
