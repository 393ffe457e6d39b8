"""Measures the tokens and times of the agent on a small fixed project, with a scripted model of realistic pace."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.try_claude import Run, run_job
from shared.contract.schemas import TokenUsage
from tests.bench.measures import median
from tests.bench.report import Goal, Part, Table, at_most
from tests.sandboxes import Sandbox
from worker.agent.feature_agent import FeatureAgent
from worker.agent.model_client import model_client
from worker.agent.project import Project

TURN_SECONDS, TOKENS_PER_SECOND = 2, 40
TURNS = (2, 5)
"""The numbers of turns before the answer that are measured; each turn calls several tools."""
AREAS = {"account": 6, "cart": 8, "checkout": 6, "orders": 8, "search": 6, "shared": 6}
"""Each folder of the project with its number of files."""
FIRST_SIGN_SECONDS = 3.0
MODEL = "claude-sonnet-5-5"
BEFORE = "45143f3"
"""The commit of the first version."""
LEAST_GAIN = 0.67
"""The goal for the ratio of new to old is a third less."""


def measure(rounds: int) -> Part:
    pace = ["--turn-seconds", str(TURN_SECONDS), "--tokens-per-second", str(TOKENS_PER_SECOND)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as before:
        _make_project(Path(folder))
        _extract(BEFORE, Path(before))
        sandbox = Sandbox(*pace)
        try:
            runs = {turns: asyncio.run(_runs(sandbox, folder, turns, rounds)) for turns in TURNS}
            pages = [f"Checkout, looks as needed, round {number}" for number in range(rounds)]
            old = [_run_before(sandbox, Path(before), folder, f"{page}, before") for page in pages]
            new = asyncio.run(_runs_by_need(sandbox, folder, pages))
        finally:
            sandbox.stop()
    text = (
        f"A project of {sum(AREAS.values()) + 1} files; the model takes {TURN_SECONDS} s before each response and "
        f"writes {TOKENS_PER_SECOND} tokens a second, as a real one does. Neither Redis nor HTTP takes part: this is "
        "the shape of the conversation. `make try-claude` prints the same figures of one real job. In the second table "
        f"a model that thinks by default (`{MODEL}`) asks its tools for what it was not yet told: how the project is "
        "laid out, what its README says, where the page's name occurs, and some 25 lines of each of the four files "
        f"that matter. The first version (commit {BEFORE}) and this one play the same script."
    )
    return Part("The agent", text, [_table(runs), _comparison(old, new)], [*_goals(runs), *_gains(old, new)])


async def _runs_by_need(sandbox: Sandbox, folder: str, pages: list[str]) -> list[Run]:
    async with model_client("none", sandbox.url) as client:
        agent = FeatureAgent(client, Project(folder))
        await agent.prepare((MODEL,))
        return [await run_job(agent, MODEL, page) for page in pages]


def _extract(commit: str, folder: Path) -> None:
    """Writes the tree of a commit of this repository into a folder."""
    root = Path(__file__).parents[2]
    packed = subprocess.run(["git", "archive", commit], cwd=root, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _run_before(sandbox: Sandbox, tree: Path, project: str, page: str) -> Run:
    script = str(Path(__file__).with_name("agent_before.py"))
    command = [sys.executable, script, sandbox.url, project, MODEL, page]
    said = json.loads(subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout)
    return Run(**said | {"usage": TokenUsage.model_validate(said["usage"])})


async def _runs(sandbox: Sandbox, folder: str, turns: int, rounds: int) -> list[Run]:
    async with model_client("none", sandbox.url) as client:
        agent = FeatureAgent(client, Project(folder))
        await agent.prepare(("sandbox",))
        return [
            await run_job(agent, "sandbox", f"Checkout, round {number}, {turns} tool turns, three tools at once")
            for number in range(rounds)
        ]


def _make_project(root: Path) -> None:
    """Writes the files of a shop. Each file names its area three times; two other areas use the checkout."""
    for area, files in AREAS.items():
        for number in range(files):
            path = root / f"src/{area}/{area}-part{number}.tsx"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"  const total{line} = price * {line} + step({number})" for line in range(120)]
            for line in (10, 50, 90):
                lines[line] = f"export function {area}Part{number}At{line}() {{ return render({line}) }}"
            if area in ("cart", "shared") and number < 2:
                lines[60] = "import { openCheckout } from '../checkout/checkout-part0'"
            path.write_text("\n".join(lines) + "\n")
    about = "Cart, checkout and orders of a small shop. Each area has a folder in src.\n"
    (root / "README.md").write_text("# The shop\n\n" + about * 12)


def _comparison(old: list[Run], new: list[Run]) -> Table:
    head = ("version", "calls", "input tokens", "read from cache", "output tokens")
    rows = [_row("first version", old), _row("this version", new)]
    return Table("The same needs, before and after", (*head, "first sign, s", "first suggestion, s", "end, s"), rows)


def _gains(old: list[Run], new: list[Run]) -> list[Goal]:
    def ratio(measured: Callable[[Run], float]) -> float:
        return median([measured(run) for run in new]) / median([measured(run) for run in old])

    return [
        at_most("agent: input tokens, over the first version's", LEAST_GAIN, ratio(_input)),
        at_most(
            "agent: time to the first suggestion, over the first version's",
            LEAST_GAIN,
            ratio(lambda run: run.first_suggestion or 0),
        ),
        at_most("agent: time to the end, over the first version's", LEAST_GAIN, ratio(lambda run: run.end or 0)),
    ]


def _input(run: Run) -> float:
    """Returns all input tokens of a job, whether or not they were read from the cache."""
    return run.usage.input_tokens + run.usage.cache_creation_tokens + run.usage.cache_read_tokens


def _row(name: str, some: list[Run]) -> tuple[str, ...]:
    return (
        name,
        f"{median([len(run.tools) for run in some]):.0f}",
        f"{median([run.usage.input_tokens + run.usage.cache_creation_tokens for run in some]):,.0f}",
        f"{median([run.usage.cache_read_tokens for run in some]):,.0f}",
        f"{median([run.usage.output_tokens for run in some]):,.0f}",
        *(f"{median([at or 0 for at in times]):.1f}" for times in _times(some)),
    )


def _table(runs: dict[int, list[Run]]) -> Table:
    rows = [_row(str(turns), some) for turns, some in runs.items()]
    head = ("tool turns", "calls", "input tokens", "read from cache", "output tokens")
    return Table("One job", (*head, "first sign, s", "first suggestion, s", "end, s"), rows)


def _times(some: list[Run]) -> list[list[float | None]]:
    return [
        [run.first_sign for run in some],
        [run.first_suggestion for run in some],
        [run.end for run in some],
    ]


def _goals(runs: dict[int, list[Run]]) -> list[Goal]:
    every = [run for some in runs.values() for run in some]
    problems = [run.problem for run in every if run.problem or run.first_sign is None]
    first = None if problems else median([run.first_sign or 0 for run in every])
    share = None if problems else median([run.uncached_share for run in runs[TURNS[-1]]])
    return [
        at_most("agent: from the start to a sign of life", FIRST_SIGN_SECONDS, first, " s"),
        at_most(f"agent: input not read from the cache, {TURNS[-1]} turns", 0.4, share),
    ]
