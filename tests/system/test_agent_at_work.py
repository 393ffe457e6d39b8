"""Tests what a viewer sees of the running agent: its notes, the files that it reads and those that it names."""

from itertools import pairwise

import pytest

from tests.stack import Event, Person, Stack, folded, own_events

FILES = {
    "app/checkout/page.tsx": "export function CheckoutPage() {\n  return null\n}\n",
    "app/cart/cart.ts": "import { CheckoutPage } from '../checkout/page'\n",
    "README.md": "# The shop\n\nIt has a checkout.\n",
    ".env": "SECRET_OF_THE_CHECKOUT=1\n",
    "deploy/id_rsa": "checkout key\n",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"PROJECT_ROOT": str(project)}


def files_in(events: list[Event]) -> list[str]:
    assert events[-1].name == "complete", events[-1]
    suggestions = [event.data["suggestion"] for event in events if event.name == "suggestion"]
    assert suggestions == events[-1].data["suggestions"]
    return [file["path"] for suggestion in suggestions for file in suggestion["files"]]


def test_the_notes_of_the_model_are_published_before_its_answer_and_are_no_part_of_it(alice: Person) -> None:
    events = own_events(alice.watch(alice.ask("Checkout five tool turns")))
    names = [event.name for event in events]
    notes = [event for event in events if event.name == "note"]
    assert notes and names.index("note") < names.index("delta") and "note" not in names[names.index("delta") :]
    assert all(0 < len(note.data["text"]) <= 500 for note in notes)
    assert all(b.data["timestamp"] - a.data["timestamp"] >= 1_999 for a, b in pairwise(notes))
    assert all(note.data["text"] not in str(folded(events).text) for note in notes)


def test_a_suggestion_names_files_that_were_shown_to_the_model(alice: Person) -> None:
    files = files_in(own_events(alice.watch(alice.ask("Checkout"))))
    assert files and set(files) <= {"app/checkout/page.tsx", "app/cart/cart.ts", "README.md"}


def test_false_file_names_of_the_model_are_left_out(alice: Person) -> None:
    files = files_in(own_events(alice.watch(alice.ask("Checkout lying files"))))
    assert files and set(files) <= {"app/checkout/page.tsx", "app/cart/cart.ts", "README.md"}


def test_files_that_may_not_be_read_reach_neither_the_model_nor_a_viewer(alice: Person, system: Stack) -> None:
    job_id = alice.ask("Secret of the checkout")
    seen = str([event.data for event in alice.watch(job_id)])
    bodies = str([request["body"] for request in system.requests_for("Secret of the checkout")])
    assert all(word not in seen + bodies for word in ("SECRET_OF", "id_rsa", "checkout key", ".env"))
    assert "The shop" in bodies


def test_a_model_that_reads_on_and_on_is_asked_to_answer(alice: Person, system: Stack) -> None:
    for page in ("Checkout reads on and on", "Checkout reads regardless"):
        files_in(own_events(alice.watch(alice.ask(page))))
        bodies = [request["body"] for request in system.requests_for(page)]
        assert "Answer now" in str(bodies[-1]["messages"][-1]["content"])
        assert (bodies[-1].get("tool_choice") == {"type": "none"}) == page.endswith("regardless")
