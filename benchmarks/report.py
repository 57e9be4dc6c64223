"""Results as people and programs read them: a table on the terminal, Markdown, and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table as Drawing

_BEGIN = "<!-- {}: written by make bench -->"
_END = "<!-- end of {} -->"
TARGETS = "targets"
"""The place of the targets on the page; they are those of all sections."""


@dataclass(frozen=True)
class Table:
    """Rows of text below a title; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"**{self.title}**", "", _line(self.columns)]
        lines.append(_line(["---", *("---:" for _ in self.columns[1:])]))
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *_listed(self.notes)]).rstrip()

    def show(self, console: Console) -> None:
        """Print the table."""
        drawing = Drawing(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            drawing.add_column(column, justify="right" if number else "left", no_wrap=not number)
        for row in self.rows:
            drawing.add_row(*row)
        console.print(drawing)
        for line in _listed(self.notes):
            console.print(line, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Target:
    """A figure that the project wants to reach: at most so much, or at least, of a unit."""

    figure: str
    bound: float
    measured: float
    unit: str = ""
    least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.measured >= self.bound if self.least else self.measured <= self.bound

    def row(self) -> tuple[str, str, str]:
        """The figure, what it should be, and what it is."""
        most = "at least" if self.least else "at most"
        missed = "" if self.is_met else " (missed)"
        return (
            self.figure,
            f"{most} {self._shown(self.bound)}",
            f"{self._shown(self.measured)}{missed}",
        )

    def _shown(self, value: float) -> str:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        number = f"{value:,.{digits}f}"
        return f"{number.rstrip('0').rstrip('.') if digits else number} {self.unit}".strip()


@dataclass(frozen=True)
class Section:
    """What one section found: tables of medians, the figures of every trial, and who took part.

    `taken` is the share of the processors' time that the machine's host gave to others meanwhile,
    `targets` what the project wants to reach, of what was found.
    """

    name: str
    tables: Sequence[Table]
    trials: Sequence[Mapping[str, Any]]
    peers: Mapping[str, str] = field(default_factory=dict)
    taken: float = 0.0
    targets: Sequence[Target] = ()

    def markdown(self) -> str:
        """All of it as Markdown, but for the trials."""
        parts = [table.markdown() for table in self.tables]
        return "\n\n".join([*parts, "\n".join(self.about_peers())]).rstrip()

    @property
    def disturbed(self) -> str:
        """How far the figures are the machine's own."""
        return f"Meanwhile its host gave {self.taken:.0%} of its processors to others."

    def about_peers(self) -> list[str]:
        """What each who took part does not do."""
        return _listed([f"{name}: {about}." for name, about in self.peers.items()])


@dataclass
class Results:
    """All sections of one run of the benchmark, and what they were measured on."""

    measured: Mapping[str, Any]
    sections: list[Section] = field(default_factory=list)

    @property
    def setting(self) -> str:
        """What everything was measured on, in a sentence."""
        versions = ", ".join(f"{name} {text}" for name, text in self.measured["versions"].items())
        return (
            "Measured on {date}: {processor}, {cores} cores, {memory_gb} GB, {system}; "
            "load by others before the first trial {load}; medians of {rounds}. ".format(
                **self.measured
            )
            + f"With {versions}."
        )

    def write(self, folder: Path) -> None:
        """Write the results as JSON and as Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        said = {
            **self.measured,
            "sections": {
                section.name: {
                    "tables": [asdict(table) for table in section.tables],
                    "peers": section.peers,
                    "trials": section.trials,
                    "taken": section.taken,
                    "targets": [asdict(target) for target in section.targets],
                }
                for section in self.sections
            },
        }
        text = json.dumps(said, indent=1, ensure_ascii=False)
        (folder / "results.json").write_text(text + "\n", encoding="utf-8")
        parts = [self.targets().markdown(), *map(self.part, self.sections)]
        (folder / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")

    def part(self, section: Section) -> str:
        """A section as Markdown."""
        return f"{self.setting} {section.disturbed}\n\n{section.markdown()}"

    def targets(self) -> Table:
        """What the project wants to reach, and what was measured."""
        rows = [target.row() for section in self.sections for target in section.targets]
        return Table("Targets", ("", "target", "measured"), rows)

    def document(self, page: Path, *, with_targets: bool) -> None:
        """Put each section, and the targets of all, in their places on a page that people wrote."""
        parts = {section.name: self.part(section) for section in self.sections}
        if with_targets:
            parts[TARGETS] = f"{self.setting}\n\n{self.targets().markdown()}"
        text = page.read_text(encoding="utf-8")
        for name, part in parts.items():
            begin, end = _BEGIN.format(name), _END.format(name)
            before, _, rest = text.partition(begin)
            _, found, after = rest.partition(end)
            if not found:
                raise ValueError(f"{page.name} has no place for the section {name}.")
            text = f"{before}{begin}\n\n{part}\n\n{end}{after}"
        page.write_text(text, encoding="utf-8")


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def seconds(value: float) -> str:
    """Seconds, with as many digits as mean something."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float, other: float) -> str:
    """How many times the other a value is."""
    return f"{value / other:.2f}" if other else ""


def whole(value: float) -> str:
    """A whole number."""
    return f"{value:,.0f}"


def _listed(notes: Sequence[str]) -> list[str]:
    return [f"- {note}" for note in notes]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
