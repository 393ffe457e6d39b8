"""Tests that the answer arrives whole and once despite network failures, server restarts and lost workers."""

import re
import signal

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.system import System

NO_CONNECTION = r"net::ERR_(CONNECTION|EMPTY|INCOMPLETE|SOCKET|INTERNET)\w+"
RECONNECTING = re.compile("Reconnecting…")


def test_the_page_reconnects_after_a_network_failure_during_the_answer(visit: Visit, system: System) -> None:
    visitor = visit(port=system.proxy.port)
    visitor.expects_console(NO_CONNECTION)
    job_id = visitor.ask("Dropped page")
    before = visitor.waits_for_text(50)
    system.hold_model()
    system.proxy.cut()
    expect(visitor.page.get_by_text(RECONNECTING)).to_be_visible()
    assert visitor.text().startswith(before)
    system.proxy.mend()
    system.release_model()
    visitor.waits_for_the_answer()
    expect(visitor.page.get_by_text(RECONNECTING)).to_have_count(0)
    visitor.shows_the_answer_once(job_id)


def test_an_unreachable_server_is_reported_as_such_and_the_request_can_be_retried(visit: Visit, system: System) -> None:
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


def test_an_answer_that_was_completed_while_the_computer_slept_is_shown_and_not_a_time_out(
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
    # The computer wakes up: timers fire late and all at once, before the network is available.
    page.clock.fast_forward("09:00")
    expect(page.get_by_text(RECONNECTING)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    system.proxy.mend()
    page.evaluate("dispatchEvent(new Event('online'))")
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
    assert len(visitor.creations) == 1


# This test is the last one, because a killed worker counts as running for another ten seconds.
def test_after_a_killed_worker_the_answer_continues_from_what_was_read(visit: Visit, system: System) -> None:
    visitor = visit()
    job_id = visitor.ask("Orphaned page")
    visitor.waits_for_text()
    system.replace_worker(signal.SIGKILL)
    expect(
        visitor.page.get_by_text(re.compile("Attempt 2.*(goes|went) on from what it ha[sd] already read"))
    ).to_be_visible(timeout=25_000)
    visitor.waits_for_the_answer()
    visitor.shows_the_answer_once(job_id)
