"""Tests that what users have typed, asked for or paid for is kept."""

import re

from playwright.sync_api import Route, expect

from tests.e2e.conftest import Visit
from tests.e2e.fed import options
from tests.e2e.system import System

JOBS = re.compile("/suggest-feature")


def test_an_answer_is_kept_in_this_browser_after_the_server_has_deleted_it(visit: Visit, system: System) -> None:
    visitor = visit()
    page = visitor.page
    options(visitor, repositoryUrl="https://github.com/acme/shop/blob/main/")
    visitor.ask("Kept page fast")
    visitor.waits_for_the_answer()
    titles = visitor.cards.get_by_role("heading", level=3).all_text_contents()
    system.stack.redis.delete(*system.stack.redis.keys("suggestion:*"))
    page.reload()
    visitor.waits_for_the_answer()
    assert visitor.cards.get_by_role("heading", level=3).all_text_contents() == titles
    expect(page.get_by_text("kept in this browser", exact=False).first).to_be_visible()
    # The request can be sent again, and the first answer stays in the list.
    page.get_by_role("button", name="Ask again").click()
    visitor.waits_for_the_answer()
    items = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    expect(items).to_have_count(2)

    # The two answers can be compared side by side.
    page.get_by_role("button", name="Compare…").click()
    for box in page.get_by_role("checkbox", name="Compare Kept page fast").all():
        box.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    dialog = page.get_by_role("dialog", name="Two answers side by side")
    expect(dialog.get_by_role("heading", level=3, name="Kept page fast", exact=True)).to_have_count(2)
    file = dialog.get_by_role("link").first
    expect(file).to_have_attribute("href", re.compile("^https://github.com/acme/shop/blob/main/"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    # One answer can be deleted, and then all of them.
    page.get_by_role("button", name="Delete Kept page fast from this browser").first.click()
    expect(items).to_have_count(1)
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(items).to_have_count(0)
    page.reload()
    visitor.waits_for_the_answer()
    expect(page.get_by_text("sandbox (default)")).to_be_attached()


def test_the_list_updates_a_request_that_was_left_and_keeps_its_answer(visit: Visit, system: System) -> None:
    visitor = visit()
    page = visitor.page
    item = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    job_id = visitor.ask("Left page")
    system.hold_model()
    # The browser stores the request a moment after the address has changed.
    expect(item).to_have_count(1)
    visitor.open("/")
    expect(item).to_contain_text("In progress")
    system.release_model()
    visitor.waits(lambda: visitor.read(job_id)["status"] == "completed")
    expect(item).to_contain_text("suggestions")
    system.stack.redis.delete(*system.stack.redis.keys("suggestion:*"))
    item.get_by_role("button").first.click()
    visitor.waits_for_the_answer()


def test_a_request_whose_end_was_not_seen_says_so_and_can_be_sent_again(visit: Visit, system: System) -> None:
    visitor = visit()
    page = visitor.page
    item = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    visitor.expects_console("status of 404")
    visitor.ask("Forgotten page silent")
    expect(item).to_have_count(1)
    page.goto("about:blank")
    system.stack.redis.delete(*system.stack.redis.keys("suggestion:*"))
    visitor.open("/")
    expect(item).to_contain_text("End not seen")
    item.get_by_role("button").first.click()
    expect(page.get_by_role("alert")).to_contain_text("was not there when this one ended")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    expect(item).to_contain_text(["Cancelled", "End not seen"])


def test_what_is_typed_survives_a_reload(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    visitor.fill("Half a thought")
    page.get_by_label("Additional context").fill("It matters.")
    page.get_by_label("Feature type").select_option("integration")
    page.reload()
    expect(page.get_by_label("Page or component")).to_have_value("Half a thought")
    expect(page.get_by_label("Additional context")).to_have_value("It matters.")
    expect(page.get_by_label("Feature type")).to_have_value("integration")


def test_what_is_typed_is_not_overwritten_by_a_job_that_loads_meanwhile(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.ask("Earlier page fast")
    visitor.waits_for_the_answer()
    # Without its database the browser knows nothing of the job, like another browser.
    page.evaluate("indexedDB.deleteDatabase('feature-planner')")
    held: list[Route] = []
    is_holding = True

    def hold(route: Route) -> None:
        if is_holding:
            held.append(route)
        else:
            route.continue_()

    page.route(JOBS, hold)
    page.reload()
    visitor.fill("Typed before it was read")
    visitor.waits(lambda: bool(held))
    is_holding = False
    for route in held:
        route.continue_()
    visitor.waits_for_the_answer()
    # The page reads the request after the answer; the heading shows that the request has arrived.
    expect(page.get_by_role("heading", level=2, name="Earlier page fast")).to_be_visible()
    expect(page.get_by_label("Page or component")).to_have_value("Typed before it was read")


def test_a_job_that_fails_does_not_take_the_focus_from_a_field(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.ask("Failing page bad output")
    context = page.get_by_label("Additional context")
    context.fill("")
    typed = ""
    alert = page.get_by_role("alert")
    while not alert.count() or len(typed) < 120:
        page.keyboard.type("abc ")
        typed += "abc "
        page.wait_for_timeout(20)
        assert len(typed) < 990, "the job has not failed"
    expect(context).to_be_focused()
    expect(context).to_have_value(typed)


def test_a_token_that_is_renewed_a_second_later_does_not_sign_the_user_out(visit: Visit) -> None:
    visitor = visit(port=None)
    page = visitor.page
    visitor.expects_console("status of 401")
    refused: list[str] = []

    def once(route: Route) -> None:
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=401, json={"detail": "expired"})
        else:
            route.continue_()

    page.route(re.compile("/suggest-feature/"), once)
    visitor.ask("Renewed page fast")
    visitor.waits_for_the_answer()
    assert len(refused) == 2


def test_a_request_without_an_answer_can_be_cancelled(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    held: list[Route] = []
    page.route(re.compile("/suggest-feature$"), lambda route: held.append(route), times=1)
    visitor.fill("Hanging page slow")
    page.get_by_role("button", name="Suggest features").click()
    expect(page.get_by_test_id("status")).to_have_text("Sending your request…")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Suggest features")).to_be_enabled()
    # The page cancels the job that the server creates after all, so that it costs nothing.
    with page.expect_request(lambda request: request.method == "DELETE"):
        held[0].continue_()
    item = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    expect(item).to_contain_text(["Cancelled"])


def test_a_request_whose_early_cancellation_was_lost_can_be_cancelled_again(visit: Visit, system: System) -> None:
    visitor = visit().open()
    page = visitor.page
    visitor.expects_console("ERR_FAILED")
    held: list[Route] = []
    page.route(re.compile("/suggest-feature$"), lambda route: held.append(route), times=1)
    page.route(re.compile("/suggest-feature/"), lambda route: route.abort(), times=1)
    visitor.fill("Runaway page silent")
    page.get_by_role("button", name="Suggest features").click()
    visitor.waits(lambda: len(held) == 1)
    page.get_by_role("button", name="Cancel", exact=True).click()
    held[0].continue_()
    item = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    expect(item).to_contain_text(["In progress"])
    item.get_by_role("button").first.click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    expect(item).to_contain_text(["Cancelled"])


def test_a_suggestion_can_be_refined_by_a_new_request(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    job_id = visitor.ask("Refined page fast")
    visitor.waits_for_the_answer()
    title = visitor.read(job_id)["suggestions"][1]["title"]
    page.get_by_role("button", name="Refine suggestion 2").click()
    page.get_by_role("button", name="Narrower").click()
    context = page.get_by_label("Additional context")
    expect(context).to_be_focused()
    assert context.input_value().startswith("Narrower") and title in context.input_value()
    page.get_by_label("What to change about suggestion 2").fill("For people on phones")
    page.get_by_role("button", name="Use", exact=True).click()
    assert context.input_value().startswith("For people on phones\n\n" + title)
    page.get_by_role("button", name="Suggest features").click()
    visitor.waits_for_the_answer()
    assert visitor.read(visitor.job_id())["input"]["additionalContext"].startswith("For people on phones")


def test_all_suggestions_can_be_downloaded(visit: Visit) -> None:
    visitor = visit()
    visitor.ask("Downloaded page fast")
    visitor.waits_for_the_answer()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "suggestions-downloaded-page-fast.md"
    text = download.value.path().read_text()
    assert text.startswith("# Feature suggestions: Downloaded page fast\n") and "- Model: sandbox" in text


def test_an_example_fills_the_form(visit: Visit) -> None:
    visitor = visit().open()
    visitor.page.get_by_role("button", name="Search results").click()
    expect(visitor.page.get_by_label("Page or component")).to_have_value("Search results")
    expect(visitor.page.get_by_label("Feature type")).to_have_value("optimization")


def test_an_unsaved_agent_survives_escape_and_deleting_asks_for_confirmation(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Your agent").click()
    dialog.get_by_role("button", name="Careful engineer").click()
    dialog.get_by_label("Focus").fill("What wakes people at night")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Your agent").click()
    expect(dialog.get_by_label("Focus")).to_have_value("What wakes people at night")
    expect(dialog.get_by_text("Not saved yet")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. Careful engineer answers your next request.")).to_be_visible()
    page.get_by_role("button", name="Your agent").click()
    dialog.get_by_role("button", name="Delete agent").click()
    expect(dialog.get_by_text("Delete this agent?")).to_be_visible()
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog.get_by_role("button", name="Delete agent")).to_be_visible()
