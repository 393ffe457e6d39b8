"""Runs one real job against the Messages API and prints what it took; costs some cents.

`ANTHROPIC_API_KEY=sk-ant-... make try-claude PAGE="Checkout page" PROJECT=/path/to/product`
"""

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from shared.contract.schemas import JobInput, Suggestion, TokenUsage
from shared.contract.values import FeatureType, PriorityLevel
from shared.errors import AttemptFailed
from worker.agent.conversation import Conversation
from worker.agent.feature_agent import Answered, FeatureAgent
from worker.agent.model_client import model_client
from worker.agent.project import Project
from worker.agent.turn import Said, Spent, UsedTool, Wrote
from worker.publishing.partial_answer import PartialAnswer


@dataclass
class Run:
    """Holds what one job took. Times are seconds from its beginning; None where it did not get so far."""

    tools: list[str] = field(default_factory=list)
    usage: TokenUsage = field(default_factory=TokenUsage)
    first_sign: float | None = None
    first_suggestion: float | None = None
    end: float | None = None
    suggestions: list[Suggestion] = field(default_factory=list)
    problem: str = ""

    @property
    def uncached_share(self) -> float:
        """Returns the part of the input that was not read from the cache."""
        given = self.usage.input_tokens + self.usage.cache_creation_tokens
        return given / max(1, given + self.usage.cache_read_tokens)


async def run_job(agent: FeatureAgent, model: str, page: str, *, is_loud: bool = False) -> Run:
    """Runs one job and records when each event came. A failure is stored in `problem`."""
    job = JobInput(page_or_component=page, feature_type=FeatureType.ENHANCEMENT, priority_level=PriorityLevel.HIGH)
    run, conversation, written = Run(), Conversation(), PartialAnswer()
    began = time.monotonic()
    try:
        async for event in agent.suggest(job, model, None, conversation):
            now = time.monotonic() - began
            match event:
                case Said(text) if text.strip():
                    run.first_sign = run.first_sign or now
                case UsedTool(name, arguments):
                    run.first_sign = run.first_sign or now
                    run.tools.append(name)
                    if is_loud:
                        print(f"{now:6.1f} s  {name} {arguments}")
                case Wrote(piece):
                    run.first_sign = run.first_sign or now
                    written.write(piece)
                    if written.take_suggestions():
                        run.first_suggestion = run.first_suggestion or now
                case Spent(usage):
                    run.usage = usage
                case Answered(answer):
                    run.end = now
                    run.suggestions = [conversation.proven(each) for each in answer.suggestions]
    except AttemptFailed as failure:
        run.problem = str(failure)
    return run


def main() -> int:
    """Runs the job that the command line describes. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", default="Start page")
    parser.add_argument("--project", default=".", help="the directory the agent may read")
    parser.add_argument("--model", default=os.environ.get("CLAUDE_MODEL") or "claude-sonnet-5-5")
    given = parser.parse_args()
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        print("try-claude: ANTHROPIC_API_KEY is not set", file=sys.stderr)
        return 2
    if not Path(given.project).is_dir():
        print(f"try-claude: --project {given.project} is not a directory", file=sys.stderr)
        return 2

    async def work() -> Run:
        async with model_client(key, os.environ.get("ANTHROPIC_BASE_URL") or None) as client:
            agent = FeatureAgent(client, Project(given.project))
            return await run_job(agent, given.model, given.page, is_loud=True)

    run = asyncio.run(work())
    for number, suggestion in enumerate(run.suggestions, 1):
        files = ", ".join(file.path for file in suggestion.files) or "none"
        print(f"\n{number}. {suggestion.title}\n{suggestion.rationale}\n{suggestion.description}\nFiles: {files}")
    print(f"\n{given.model}: {len(run.tools)} tool calls; {run.usage.model_dump(by_alias=True)}")
    print(f"first sign {run.first_sign}, first suggestion {run.first_suggestion}, end {run.end} (seconds)")
    if run.problem:
        print(f"try-claude: {run.problem}", file=sys.stderr)
    return 1 if run.problem else 0


if __name__ == "__main__":
    sys.exit(main())
