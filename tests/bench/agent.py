"""The agent on a small fixed project, with a scripted model of realistic pace: what a job costs, and when it shows."""

import asyncio
import tempfile
from pathlib import Path

from scripts.try_claude import Run, run_job
from tests.bench.measures import median
from tests.bench.report import Goal, Part, Table, at_most
from tests.sandboxes import Sandbox
from worker.agent.feature_agent import FeatureAgent
from worker.agent.model_client import model_client
from worker.agent.project import Project

TURN_SECONDS, TOKENS_PER_SECOND = 2, 40
TURNS = (2, 5)
"""Turns with tools before the answer; several tools in each."""
FILES = 40
FIRST_SIGN_SECONDS = 3.0


def measure(rounds: int) -> Part:
    pace = ["--turn-seconds", str(TURN_SECONDS), "--tokens-per-second", str(TOKENS_PER_SECOND)]
    with tempfile.TemporaryDirectory() as folder:
        _make_project(Path(folder))
        sandbox = Sandbox(*pace)
        try:
            runs = {turns: asyncio.run(_runs(sandbox, folder, turns, rounds)) for turns in TURNS}
        finally:
            sandbox.stop()
    text = (
        f"A project of {FILES} files; the model takes {TURN_SECONDS} s before each response and writes "
        f"{TOKENS_PER_SECOND} tokens a second, as a real one does. Neither Redis nor HTTP takes part: this is the "
        "shape of the conversation. `make try-claude` prints the same figures of one real job."
    )
    return Part("The agent", text, [_table(runs)], _goals(runs))


async def _runs(sandbox: Sandbox, folder: str, turns: int, rounds: int) -> list[Run]:
    async with model_client("none", sandbox.url) as client:
        agent = FeatureAgent(client, Project(folder))
        await agent.prepare(("sandbox",))
        return [
            await run_job(agent, "sandbox", f"Checkout, round {number}, {turns} tool turns, three tools at once")
            for number in range(rounds)
        ]


def _make_project(root: Path) -> None:
    for number in range(FILES):
        path = root / f"app/area{number % 5}/checkout{number}.ts"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"export const checkout{number}Step{line} = {line}" for line in range(60)]
        path.write_text("\n".join(lines) + "\n")
    (root / "README.md").write_text("# The shop\n\nCheckout, cart and orders.\n")


def _table(runs: dict[int, list[Run]]) -> Table:
    rows = [
        (
            str(turns),
            f"{median([len(run.tools) for run in some]):.0f}",
            f"{median([run.usage.input_tokens + run.usage.cache_creation_tokens for run in some]):,.0f}",
            f"{median([run.usage.cache_read_tokens for run in some]):,.0f}",
            f"{median([run.usage.output_tokens for run in some]):,.0f}",
            *(f"{median([at or 0 for at in times]):.1f}" for times in _times(some)),
        )
        for turns, some in runs.items()
    ]
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
