"""Provides what the tests of the page share: the running system, and users with a browser."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Request, expect

from tests.conftest import token, wait_until
from tests.e2e.proxy import Proxy
from tests.stack import LIFETIME_SECONDS, ROOT, Person, Process, Stack

# This path needs no session, and stands in for the page where users sign in.
SIGN_IN_PATH = "/docs"
CREATE = "/api/feature-planner/suggest-feature"
# At about 900 characters per second an answer takes five seconds, long enough for a test to act in the middle of it,
# even if other tests keep the machine busy.
CHARS, INTERVAL_MS = 18, 20

expect.set_options(timeout=20_000)


class System:
    """Runs the sandbox, the web process and the worker, with a proxy in front of the web process."""

    def __init__(self, folder: Path) -> None:
        if not (ROOT / "api/static/index.html").is_file():
            raise FileNotFoundError("the page has not been built: make install")
        settings = {"JOBS_PER_MINUTE": "10", "STREAMS_PER_USER": "5", "PROJECT_ROOT": str(ROOT / "shared")}
        self.stack = Stack(folder, SIGN_IN_URL=SIGN_IN_PATH, **settings)
        try:
            self.sandbox = self.stack.start_sandbox(chars=CHARS, interval_ms=INTERVAL_MS)
            self.web = self.stack.start_web()
            self.worker: Process = self.stack.start_worker()
            self.proxy = Proxy(self.stack.web_port)
        except BaseException:
            self.stack.close()
            raise

    @property
    def port(self) -> int:
        return self.stack.web_port

    def restart_web(self) -> None:
        self.web.stop()
        self.web = self.stack.start_web(self.port)

    def hold_model(self) -> None:
        """Suspends the sandbox, so that the model writes nothing until `release_model` is called."""
        self.sandbox.send(signal.SIGSTOP)

    def release_model(self) -> None:
        self.sandbox.send(signal.SIGCONT)

    def replace_worker(self, number: signal.Signals) -> None:
        self.worker.stop(number)
        self.worker = self.stack.start_worker()

    def repair(self) -> None:
        """Repairs what a failed test has left broken, so that the next test does not fail because of it."""
        self.proxy.mend()
        self.release_model()
        if self.worker.popen.poll() is not None:
            self.worker = self.stack.start_worker()

    def outcomes(self, page: str) -> list[str]:
        """Returns the outcomes of the model requests about that page."""
        return [request["outcome"] for request in self.stack.requests_for(page)]

    def close(self) -> None:
        self.proxy.close()
        self.stack.close()


class Visitor:
    """Represents a user with a browser page, and records the messages of its console."""

    def __init__(self, system: System, context: BrowserContext, name: str, *, port: int | None = None) -> None:
        self.system = system
        self.context = context
        self.name = name
        self.base = f"http://127.0.0.1:{port or system.port}"
        self.creations: list[Request] = []
        self.complaints: list[str] = []
        self._expected: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("request", self._on_request)
        self.page = context.new_page()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        assert request.url.startswith(self.base), f"the page sent a request to another host: {request.url}"
        if request.method == "POST" and request.url.endswith(CREATE):
            self.creations.append(request)

    def expects_console(self, pattern: str) -> None:
        """Allows console messages that match the pattern, for failures of requests that the test causes."""
        self._expected.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not any(re.search(pattern, text) for pattern in self._expected)]

    def open(self, path: str = "/") -> "Visitor":
        self.page.goto(self.base + path)
        return self

    def fill(self, page_or_component: str) -> None:
        self.page.get_by_label("Page or component").fill(page_or_component)

    def ask(self, page_or_component: str) -> str:
        """Fills in the form, submits it, and returns the id of the job."""
        self.open()
        self.fill(page_or_component)
        self.page.get_by_role("button", name="Suggest features").click()
        return self.job_id()

    def job_id(self) -> str:
        """Returns the id of the job in the address, as soon as there is one."""
        self.page.wait_for_url("**/?job=*")
        return self.page.url.partition("job=")[2]

    @property
    def live_text(self) -> Locator:
        return self.page.get_by_role("region", name="The answer as it is written")

    @property
    def cards(self) -> Locator:
        return self.page.get_by_role("article")

    def text(self) -> str:
        """Returns the text as the model wrote it, after opening its section; empty if there is none."""
        closed = self.page.locator("details:not([open]) > summary", has_text="The text as it was written")
        if closed.count():
            closed.click()
            self.live_text.wait_for(state="attached")
        live = self.live_text
        return (live.text_content() or "") if live.count() else ""

    def length_of(self, part: Locator) -> int:
        """Returns how many characters the element holds, or 0 if it does not exist."""
        return len(part.text_content() or "") if part.count() else 0

    def waits_for_text(self, length: int = 200) -> str:
        self.waits(lambda: len(self.text()) >= length)
        return self.text()

    def waits(self, condition: Any, seconds: float = 30) -> None:
        """Waits as `wait_until` does, while Playwright handles the events of the browser."""
        wait_until(lambda: self._tick() and condition(), seconds=seconds)

    def _tick(self) -> bool:
        self.page.wait_for_timeout(20)
        return True

    def waits_for_the_answer(self, seconds: float = 30) -> None:
        expect(self.page.get_by_text("Copy all as Markdown")).to_be_visible(timeout=seconds * 1000)

    def read(self, job_id: str) -> dict[str, Any]:
        person = Person(self.system.stack, self.name)
        try:
            return person.read(job_id)
        finally:
            person.close()

    def shows_the_answer_once(self, job_id: str) -> None:
        """Checks that the page shows the whole text and all suggestions of the server, each of them once."""
        job = self.read(job_id)
        assert job["status"] == "completed"
        titles = self.cards.get_by_role("heading", level=3).all_text_contents()
        expected = [f"{i}. {each['title'].replace('`', '')}" for i, each in enumerate(job["suggestions"], 1)]
        assert titles == expected
        self.waits(lambda: self.text() == job["text"])


@contextmanager
def visitor(
    system: System, browser: Browser, *, is_signed_in: bool = True, port: int | None = None, **options: Any
) -> Iterator[Visitor]:
    """Yields a new user with a new browser profile."""
    name = f"visitor-{uuid4().hex[:8]}"
    context = browser.new_context(**options)
    if is_signed_in:
        cookie = token(name, lifetime_seconds=LIFETIME_SECONDS)
        context.add_cookies([{"name": "__session", "value": cookie, "url": "http://127.0.0.1"}])
    try:
        yield Visitor(system, context, name, port=port)
    finally:
        context.close()
