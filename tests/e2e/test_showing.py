"""Tests what the page shows on a phone, zoomed, printed and in forced colours, and in states that are fed to it."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.fed import COMPLETE, NOW, STARTED, SUGGESTION, feed, options
from tests.stack import ROOT

LONG_TEXT = "1. Undo\nWhy: People err.\n\n" + "A way back. " * 300
READING = ("tool", {"name": "Read", "input": {"file_path": "app/pay.ts"}})


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param({"viewport": {"width": 360, "height": 640}, "has_touch": True}, id="phone"),
        # This is the viewport of a window of 1280 by 800 pixels at 200 % zoom.
        pytest.param({"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}, id="zoomed"),
    ],
)
def test_the_answer_comes_into_view_on_a_small_screen(visit: Visit, screen: dict[str, Any]) -> None:
    visitor = visit(**screen)
    page = visitor.page
    visitor.ask("Small page fast")
    expect(page.get_by_role("heading", level=2, name="Small page fast")).to_be_in_viewport()
    expect(page.get_by_test_id("status")).to_be_in_viewport()
    visitor.waits_for_the_answer()
    expect(page.get_by_role("heading", level=2, name="Small page fast")).to_be_in_viewport()
    expect(page.get_by_label("Page or component")).to_be_hidden()
    page.get_by_role("button", name="Change it, or ask something else").click()
    expect(page.get_by_label("Page or component")).to_be_focused()
    expect(page.get_by_label("Page or component")).to_be_in_viewport()


def test_the_answer_comes_into_view_in_a_wide_and_low_window(visit: Visit) -> None:
    visitor = visit(viewport={"width": 1100, "height": 400})
    page = visitor.page
    # In such a window the form is never collapsed, and its button is below the lower edge.
    visitor.ask("Low page fast")
    expect(page.get_by_role("heading", level=2, name="Low page fast")).to_be_in_viewport()
    visitor.waits_for_the_answer()
    page.get_by_role("button", name="New request").click()
    expect(page.get_by_label("Page or component")).to_be_in_viewport()
    page.get_by_role("region", name="Your requests").get_by_role("button", name=re.compile("^Low page fast")).click()
    expect(page.get_by_role("heading", level=2, name="Low page fast")).to_be_in_viewport()


def test_an_earlier_request_that_is_opened_comes_into_view_on_a_phone(visit: Visit) -> None:
    visitor = visit(viewport={"width": 360, "height": 640}, has_touch=True)
    page = visitor.page
    for name in ("First page fast", "Second page fast"):
        visitor.ask(name)
        visitor.waits_for_the_answer()
    # The list is far below the answer on the screen.
    page.get_by_role("region", name="Your requests").get_by_role("button", name=re.compile("^First page fast")).click()
    expect(page.get_by_role("heading", level=2, name="First page fast")).to_be_in_viewport()


def test_waiting_for_the_provider_is_shown_with_a_countdown_and_keeps_the_text(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    feed(
        visitor,
        ("started", STARTED),
        ("delta", {"text": "About it.\n\n1. Undo\nWhy: People", "totalLength": 31}),
        ("waiting", {"reason": "rate_limited", "until": NOW + 40_000}),
    )
    visitor.ask("Waiting page")
    expect(page.get_by_text("lets us wait our turn")).to_be_visible()
    expect(page.get_by_text(re.compile(r"asked again in [23]\d s"))).to_be_visible()
    expect(page.get_by_role("article")).to_contain_text("Undo")


def test_notes_and_tool_calls_are_shown_in_plain_words_and_in_their_order(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    feed(
        visitor,
        ("started", STARTED),
        ("note", {"text": "I look for where the…"}),
        ("note", {"text": "payment step is."}),
        ("tool", {"name": "Grep", "input": {"pattern": r"def\s+[Cc]heckout\b"}}),
        ("tool", {"name": "Read", "input": {"file_path": "app/pay.ts"}}),
        ("note", {"text": "It is there."}),
    )
    visitor.ask("Noted page")
    lines = page.get_by_role("list", name="What the agent looks at").get_by_role("listitem")
    expect(lines).to_have_text(
        [
            "I look for where the payment step is.",
            "Searching for “def” and “checkout”",
            "Reading app/pay.ts",
            "It is there.",
        ]
    )
    expect(page.get_by_test_id("status")).to_have_text("Looking at the project: 1 file")


@pytest.mark.parametrize(
    ("event", "later", "least", "most"),
    [
        pytest.param(("delta", {"text": LONG_TEXT, "totalLength": len(LONG_TEXT)}), "01:30", 16, 40, id="long text"),
        pytest.param(READING, "00:20", 5, 16, id="reading the project"),
        pytest.param(("suggestion", {"index": 0, "suggestion": SUGGESTION}), "00:00", 31, 48, id="one suggestion"),
    ],
)
def test_progress_depends_on_time_and_complete_suggestions_and_not_on_the_length_of_the_text(
    visit: Visit, event: tuple[str, dict[str, Any]], later: str, least: int, most: int
) -> None:
    visitor = visit()
    visitor.page.clock.install(time=NOW / 1000)
    feed(visitor, ("started", STARTED), event)
    visitor.ask("Measured page")
    bar = visitor.page.get_by_role("progressbar", name="Progress of the answer")
    expect(bar).to_be_visible()
    visitor.page.clock.fast_forward(later)
    visitor.waits(lambda: least < float(bar.get_attribute("value") or 0) < most)


def test_the_page_shows_that_it_is_connected_while_the_model_thinks(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.clock.install(time=NOW / 1000)
    feed(visitor, ("started", STARTED), READING)
    visitor.ask("Thought about page")
    thinking = page.get_by_text("Still connected: Claude is thinking")
    elapsed = page.get_by_test_id("elapsed")
    expect(page.get_by_test_id("status")).to_have_text("Looking at the project: 1 file")
    expect(thinking).to_have_count(0)
    before = elapsed.inner_text()
    page.clock.fast_forward("00:15")
    expect(thinking).to_be_visible()
    expect(elapsed).not_to_have_text(before)


def test_text_that_is_being_written_is_shown_once(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    text = "About it.\n\n1. Undo\nWhy: People err.\n\nA way back is mis"
    feed(visitor, ("started", STARTED), ("delta", {"text": text, "totalLength": len(text)}))
    visitor.ask("Once page")
    for words in ("About it.", "People err.", "A way back is mis"):
        expect(page.get_by_text(words)).to_have_count(1)
    assert visitor.text() == text


def test_an_answer_that_was_cut_short_says_so_and_its_files_and_issues_are_linked(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page

    options(visitor, repositoryUrl="https://github.com/acme/shop/blob/main/", agent="Ada")
    feed(visitor, ("started", STARTED), ("complete", COMPLETE))
    visitor.ask("Short page")
    expect(page.get_by_test_id("status")).to_have_text("3 suggestions, cut short")
    expect(page.get_by_text("The model was cut short")).to_be_visible()
    file = page.get_by_role("link", name="app/pay ment.ts").first
    expect(file).to_have_attribute("href", "https://github.com/acme/shop/blob/main/app/pay%20ment.ts")
    issue = page.get_by_role("link", name="Create issue on GitHub from suggestion 1")
    expect(issue).to_have_attribute("href", re.compile(r"^https://github\.com/acme/shop/issues/new\?title=Undo&body="))
    expect(page.get_by_text("10 tokens (8 read, 2 written)")).to_be_visible()
    expect(page.get_by_role("button", name="Your agent: Ada")).to_be_visible()


def test_a_failure_keeps_complete_suggestions_and_does_not_say_that_there_are_none(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    error = {"message": "The model broke off.", "code": "MODEL_UNAVAILABLE", "retryable": True}
    text = "1. Undo\nWhy: People err.\n\n2. Half an idea"
    begun = ("delta", {"text": text, "totalLength": len(text)})
    whole = ("suggestion", {"index": 0, "suggestion": SUGGESTION})
    feed(visitor, ("started", STARTED), begun, whole, ("error", error))
    visitor.ask("Broken page")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The answer broke off")
    expect(alert).to_contain_text("1 suggestion was whole")
    # An incomplete suggestion is marked as such, and offers no buttons.
    first, second = visitor.cards.nth(0), visitor.cards.nth(1)
    expect(second).to_contain_text("Half an idea")
    expect(second).to_contain_text("This suggestion was not finished.")
    expect(second.get_by_role("button")).to_have_count(0)
    expect(first.get_by_role("button", name="Copy suggestion 1")).to_be_visible()
    expect(first).not_to_contain_text("not finished")
    expect(page.get_by_role("button", name="Try again")).to_be_enabled()


def test_print_shows_the_answer_alone(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.ask("Printed page fast")
    visitor.waits_for_the_answer()
    page.emulate_media(media="print")
    expect(visitor.cards.first).to_be_visible()
    for hidden in (
        page.get_by_label("Page or component"),
        page.get_by_role("button"),
        page.get_by_text("Your requests"),
    ):
        expect(hidden.first).to_be_hidden()


def test_forced_colours_keep_the_progress_bar_the_cursor_and_the_choice_visible(visit: Visit) -> None:
    visitor = visit(forced_colors="active")
    page = visitor.page
    feed(visitor, ("started", STARTED), ("delta", {"text": "1. Undo", "totalLength": 7}))
    visitor.ask("Coloured page")
    expect(page.get_by_role("progressbar")).to_have_css("appearance", "auto")
    expect(page.get_by_test_id("cursor")).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    shown = "(each) => getComputedStyle(each).backgroundColor"
    chosen, other = page.locator("label", has_text="Medium"), page.locator("label", has_text="Low")
    assert chosen.evaluate(shown) != other.evaluate(shown)


def test_permission_for_notifications_is_requested_once_and_only_on_demand(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.add_init_script(
        """
        window.asked = 0; window.shown = [];
        window.Notification = class { static permission = 'default';
          static requestPermission = async () => { window.asked += 1; return Notification.permission = 'granted' }
          constructor(title, { body }) { window.shown.push(body) }
          addEventListener() {} close() {} };
        Object.defineProperty(document, 'visibilityState', { get: () => window.isHidden ? 'hidden' : 'visible' });
        """
    )
    visitor.ask("Notified page slow")
    assert page.evaluate("asked") == 0
    page.get_by_role("button", name="Notify me when it is done").click()
    expect(page.get_by_role("button", name="You will be notified")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    page.evaluate("window.isHidden = true")
    visitor.fill("Notified page fast")
    page.get_by_role("button", name="Suggest features").click()
    visitor.waits_for_the_answer()
    visitor.waits(lambda: page.evaluate("shown.length") == 1)
    assert page.evaluate("asked") == 1 and page.evaluate("shown")[0].startswith("Notified page fast: ")


def test_the_page_waits_as_long_as_the_server_gives_an_attempt(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.clock.install()
    options(visitor, limits={"jobTimeoutSeconds": 600})
    visitor.ask("Patient page silent")
    status = page.get_by_test_id("status")
    expect(status).to_have_text("Waiting for the sandbox")
    looks: list[str] = []
    page.on("request", lambda request: looks.append(request.headers["accept"]))
    page.clock.fast_forward("09:50")
    expect(page.get_by_test_id("elapsed")).to_have_text(re.compile("9:5"))
    # The page would first read the job twice if it considered it late; it has not done so yet.
    assert all("event-stream" in accept for accept in looks)
    expect(status).to_have_text("Waiting for the sandbox")
    page.clock.fast_forward("00:11")
    expect(page.get_by_role("alert")).to_contain_text("Request timed out after 10 minutes")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    # The retry has cancelled the first job, whose end the page did not see.
    items = page.get_by_role("region", name="Your requests").get_by_role("listitem")
    expect(items).to_contain_text(["Cancelled", "Cancelled"])


def test_browsers_without_the_newer_abort_signals_show_the_answer_too(visit: Visit) -> None:
    visitor = visit()
    visitor.page.add_init_script("delete AbortSignal.any; delete AbortSignal.timeout")
    job_id = visitor.ask("Older browser fast")
    visitor.waits_for_the_answer()
    assert visitor.page.evaluate("AbortSignal.any === undefined")
    visitor.shows_the_answer_once(job_id)


def test_a_long_answer_does_not_delay_typing(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.add_init_script(
        """
        window.delays = [];
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (entry.name === 'keydown')
            window.delays.push([entry.processingEnd - entry.startTime, entry.duration]);
        });
        observer.observe({ type: 'event', durationThreshold: 16 });
        """
    )
    visitor.ask("Long page long")
    visitor.waits_for_text(2000)
    page.get_by_label("Additional context").focus()
    for _ in range(60):
        page.keyboard.press("a")
    visitor.waits_for_the_answer(30)
    assert len(visitor.text()) > 25_000
    delays = page.evaluate("delays")
    # Time in ms until the page has handled the key: 70 ms at most on a machine with ten times the work that it can do.
    taken_late = [taken for taken, _ in delays if taken > 100]
    # Time in ms until the character is on the screen, which may take ten times as long on a busy machine.
    shown_late = [shown for _, shown in delays if shown > 1000]
    assert len(taken_late) <= 2 and not shown_late, (taken_late, shown_late)


def test_the_scripts_of_the_page_are_small() -> None:
    scripts = list((ROOT / "api/static").rglob("*.js.gz"))
    assert scripts and sum(script.stat().st_size for script in scripts) < 110_000
