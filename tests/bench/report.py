"""Represents the results of a part of the benchmark: its tables, and its goals with the values reached."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    """What a reader needs to know to understand the figures."""

    def markdown(self) -> str:
        widths = [max(len(row[i]) for row in (self.head, *self.rows)) for i in range(len(self.head))]
        lines = [self._line(self.head, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
        lines += [self._line(row, widths) for row in self.rows]
        text = f"**{self.title}**\n\n" + "\n".join(lines)
        return f"{text}\n\n{self.note}" if self.note else text

    @staticmethod
    def _line(cells: tuple[str, ...], widths: list[int]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


@dataclass(frozen=True)
class Goal:
    """Represents one row of the table of goals. `reached` is None if there was nothing to compare with."""

    measure: str
    goal: str
    got: str
    reached: bool | None


@dataclass(frozen=True)
class Part:
    """Represents one part of the benchmark, as it is written into docs/performance.md."""

    title: str
    text: str
    tables: list[Table]
    goals: list[Goal] = field(default_factory=list)

    def markdown(self) -> str:
        return "\n\n".join([f"## {self.title}", self.text, *(table.markdown() for table in self.tables)])


def at_most(measure: str, limit: float, got: float | None, unit: str = "") -> Goal:
    """Returns a goal that is reached by a value of at most `limit`.

    `got` is None if there is nothing to compare with.
    """
    return Goal(measure, f"≤ {limit:g}{unit}", _shown(got, unit), None if got is None else got <= limit)


def at_least(measure: str, limit: float, got: float | None, unit: str = "") -> Goal:
    """Returns a goal that is reached by a value of at least `limit`."""
    return Goal(measure, f"≥ {limit:g}{unit}", _shown(got, unit), None if got is None else got >= limit)


def _shown(got: float | None, unit: str) -> str:
    if got is None:
        return "nothing to compare with"
    return f"{got:.0f}{unit}" if got >= 100 else f"{got:.3g}{unit}"


def goals_table(goals: list[Goal]) -> str:
    """Returns the table of a part's goals with the values reached, or an empty string if it has no goals."""
    if not goals:
        return ""
    words = {True: "yes", False: "**no**", None: "-"}
    rows: list[tuple[str, ...]] = [(goal.measure, goal.goal, goal.got, words[goal.reached]) for goal in goals]
    return Table("Goals", ("measure", "goal", "got", "reached"), rows).markdown()
