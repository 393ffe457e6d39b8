"""Tests that users can ask for suggestions and use them."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.system import System
from tests.stack import Person

# This script runs before the page's first script. It records all announcements to screen readers, each status, every
# value of the progress bar and every position of the first card.
OBSERVER = """
window.said = []; window.statuses = []; window.progress = []; window.places = [];
window.lengths = []; window.looks = []; window.copyable = [];
const note = (list, value) => { if (value && list.at(-1) !== value) list.push(value); };
new MutationObserver(() => {
  const spoken = [...document.querySelectorAll('[role=status], [role=alert]')];
  note(window.said, spoken.map((each) => each.textContent).join(''));
  note(window.statuses, document.querySelector('[data-testid=status]')?.textContent);
  note(window.lengths, document.querySelector('article')?.textContent.length);
  note(window.looks, document.querySelector('[aria-label="What the agent looks at"]')?.textContent);
  const isWriting = document.querySelector('[data-testid=cursor]') !== null;
  if (isWriting) note(window.copyable, document.querySelectorAll('article button').length);
  note(window.places, document.querySelector('article')?.getBoundingClientRect().top);
  const bar = document.querySelector('progress[value]');
  if (bar) window.progress.push(bar.value);
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
"""


def test_the_answer_is_shown_while_it_is_written_and_ends_as_cards(visit: Visit, system: System) -> None:
    visitor = visit()
    page = visitor.page
    page.add_init_script(OBSERVER)
    job_id = visitor.ask("Checkout page")

    visitor.waits_for_the_answer()
    count = visitor.cards.count()
    statuses = page.evaluate("statuses")
    assert statuses[0] == "Sending your request…" and statuses[-1] == f"{count} suggestions"
    assert "Writing suggestion 1 of 3 to 5" in statuses and "Writing suggestion 3 of 3 to 5" in statuses
    assert re.search("(Reading|Searching|Looking for) ", page.evaluate("looks")[-1])
    lengths = page.evaluate("lengths")
    assert len(lengths) > 4 and lengths == sorted(lengths), "the first card did not grow step by step"
    assert page.evaluate("copyable"), "no suggestion could be copied while the others were still being written"
    progress = page.evaluate("progress")
    assert progress == sorted(progress) and 0 < progress[-1] < 100
    assert max(page.evaluate("places")) - min(page.evaluate("places")) <= 1, "the first card has moved"
    said = page.evaluate("said")
    assert sum("is there: " in words for words in said) in (count - 1, count)
    assert said[-1] == f"Done: {count} suggestions."
    assert len(said) <= count + 8, said
    expect(page).to_have_title(re.compile(f"^✓ {count} suggestions · Checkout page"))
    expect(page.get_by_text("Written by the sandbox")).to_be_visible()
    expect(page.get_by_text(re.compile(r"[\d,]+ tokens"))).to_be_visible()
    expect(page.get_by_role("heading", level=3).first).to_have_text(re.compile(r"^1\. \w"))
    visitor.shows_the_answer_once(job_id)


def test_one_suggestion_or_all_can_be_copied_as_markdown(visit: Visit) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    job_id = visitor.ask("Profile page fast")
    visitor.waits_for_the_answer()
    suggestions = visitor.read(job_id)["suggestions"]

    page.get_by_role("button", name="Copy suggestion 2 as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    one = page.evaluate("navigator.clipboard.readText()")
    assert one.startswith(f"## {suggestions[1]['title']}\n")
    page.get_by_role("button", name="Copy all as Markdown").click()
    expect(page.get_by_role("button", name="Copied").first).to_be_visible()
    visitor.waits(lambda: page.evaluate("navigator.clipboard.readText()").startswith("# Feature suggestions: Profile"))
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [line[3:] for line in copied.splitlines() if line.startswith("## ")] == [s["title"] for s in suggestions]


def test_the_form_can_be_used_by_keyboard_alone(visit: Visit) -> None:
    visitor = visit().open()
    page, keys = visitor.page, visitor.page.keyboard
    expect(page.get_by_label("Page or component")).to_be_focused()
    keys.type("Search page fast")
    keys.press("Tab")
    keys.type("Opt")
    keys.press("Tab")
    keys.press("ArrowRight")
    keys.press("Tab")
    keys.type("Nobody finds it.")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Control+Enter")
    job = visitor.read(visitor.job_id())["input"]
    assert job["featureType"] == "optimization" and job["priorityLevel"] == "high"
    assert job["additionalContext"] == "Nobody finds it."
    visitor.waits_for_the_answer()


def test_invalid_input_is_shown_at_its_field_and_not_sent(visit: Visit) -> None:
    visitor = visit().open()
    page = visitor.page
    name, context = page.get_by_label("Page or component"), page.get_by_label("Additional context")
    context.fill("🙂" * 1001)
    expect(page.get_by_text("1,001 / 1,000")).to_be_visible()
    page.get_by_role("button", name="Suggest features").click()
    expect(page.get_by_text("Page or component is required.")).to_be_visible()
    expect(page.get_by_text("Additional context must have at most 1,000 characters.")).to_be_visible()
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("Page or component is required.")
    context.fill("🙂" * 1000)
    name.fill("x" * 201)
    expect(page.get_by_text("is required")).to_have_count(0)
    page.get_by_role("button", name="Suggest features").click()
    expect(page.get_by_text("Page or component must have at most 200 characters.")).to_be_visible()
    assert visitor.creations == []


def test_an_error_that_the_server_finds_is_shown_at_its_field(visit: Visit) -> None:
    visitor = visit().open()
    visitor.expects_console("status of 422")
    page = visitor.page
    visitor.fill("Checkout page")
    page.get_by_label("Model").evaluate("select => select.add(new Option('gpt', 'gpt'))")
    page.get_by_label("Model").select_option("gpt")
    page.get_by_role("button", name="Suggest features").click()
    expect(page.get_by_text("Model must be one of: sandbox")).to_be_visible()
    expect(page.get_by_label("Model")).to_be_focused()


def test_two_quick_submits_make_one_job(visit: Visit) -> None:
    visitor = visit().open()
    visitor.fill("Twice asked page fast")
    visitor.page.evaluate(
        "() => { const form = document.querySelector('form'); form.requestSubmit(); form.requestSubmit() }"
    )
    visitor.waits_for_the_answer()
    assert len(visitor.creations) == 1


def test_cancelling_stops_the_request_to_the_model(visit: Visit, system: System) -> None:
    visitor = visit()
    visitor.ask("Cancelled page")
    expect(visitor.page.get_by_test_id("cursor")).to_be_visible()
    visitor.page.get_by_role("button", name="Cancel", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="Cancelled", exact=True)).to_be_visible()
    expect(visitor.page.get_by_text(re.compile(r"Used: [\d,]+ tokens"))).to_be_visible()
    visitor.waits(lambda: system.outcomes("Cancelled page")[-1] == "closed")


def test_a_failed_job_says_why_and_can_be_retried(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    first = visitor.ask("Orders page cut off once fast")
    expect(page.get_by_role("alert")).to_contain_text("answer was incomplete or malformed")
    page.get_by_role("button", name="Try again").click()
    visitor.waits_for_the_answer()
    assert visitor.job_id() != first
    keys = [request.headers["idempotency-key"] for request in visitor.creations]
    assert len(set(keys)) == 2
    assert visitor.creations[0].post_data == visitor.creations[1].post_data


def test_a_failure_that_would_recur_offers_no_retry(visit: Visit) -> None:
    visitor = visit()
    visitor.ask("Orders page refusal fast")
    expect(visitor.page.get_by_role("alert")).to_contain_text("declined to answer")
    expect(visitor.page.get_by_role("button", name="Try again")).to_have_count(0)
    visitor.page.get_by_role("button", name="New request").click()
    expect(visitor.page.get_by_label("Page or component")).to_be_focused()
    assert visitor.page.url.endswith("/")


def seconds_in(words: str) -> int:
    found = re.search(r"(\d+) s", words)
    return int(found[1]) if found else 0


def test_a_rate_limit_error_says_when_to_try_again(visit: Visit, system: System) -> None:
    visitor = visit().open()
    visitor.expects_console("status of 429")
    person = Person(system.stack, visitor.name)
    for _ in range(10):
        person.ask("Busy page rejected")
    person.close()
    visitor.fill("Busy page")
    visitor.page.get_by_role("button", name="Suggest features").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("You may ask 10 times a minute")
    again = visitor.page.get_by_role("button", name=re.compile(r"Try again in \d+ s"))
    expect(again).to_be_disabled()
    # The button counts the seconds down, so the message must not show a number that stays the same.
    expect(visitor.page.get_by_role("alert")).not_to_contain_text(re.compile(r"\d s"))
    shown = seconds_in(again.inner_text())
    visitor.waits(lambda: 0 < seconds_in(again.inner_text()) < shown)
    assert visitor.page.url.endswith("/")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/?job=5b0c3f5e-2f0b-4f0e-9d0c-3a1c5d1f7e11", 404, "does not exist, or has expired"),
        ("/?job=nonsense", 400, "This link leads to no request"),
    ],
)
def test_a_link_to_a_job_that_does_not_exist_says_so(visit: Visit, path: str, status: int, words: str) -> None:
    visitor = visit()
    visitor.expects_console(f"status of {status}")
    visitor.open(path)
    expect(visitor.page.get_by_role("alert")).to_contain_text(words)
    visitor.page.get_by_role("button", name="New request").click()
    expect(visitor.page.get_by_text("What could be better?")).to_be_visible()


def test_somebody_elses_job_is_not_shown(visit: Visit) -> None:
    owner, other = visit(), visit()
    other.expects_console("status of 403")
    job_id = owner.ask("Secret page fast")
    owner.waits_for_the_answer()
    other.open(f"/?job={job_id}")
    expect(other.page.get_by_role("alert")).to_contain_text("belongs to somebody else")
    assert "Secret page" not in (other.page.text_content("main") or "")


def test_the_answer_can_be_used_by_keyboard_alone(visit: Visit) -> None:
    visitor = visit().open()
    page, keys = visitor.page, visitor.page.keyboard
    keys.type("Walked page fast")
    keys.press("Control+Enter")
    visitor.waits_for_the_answer()
    reached: list[str] = []
    name = "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent || '').trim()"
    for _ in range(80):
        keys.press("Tab")
        reached.append(page.evaluate(name))
        if reached[-1] == "Refine suggestion 1":
            break
    for button in ("Ask again", "New request", "Copy all as Markdown", "Download", "Copy suggestion 1 as Markdown"):
        assert any(button in each for each in reached), reached
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_label("Additional context")).to_be_focused()
    expect(page.get_by_label("Additional context")).not_to_have_value("")
