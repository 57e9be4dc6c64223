"""The pages of docs/ are a tour: their commands are run, in order, and print what is shown."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import clean_environment

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
OVERVIEW = (DOCS / "README.md").read_text(encoding="utf-8")
# A line on its own between what two commands print.
MARK = "\x1e"
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page, in the order of the overview."""
    return [DOCS / name for name in re.findall(r"\]\(([\w-]+\.md)\)", OVERVIEW)]


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Each box of commands of a page, with the lines that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for kind, text in FENCED.findall(page.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, []))
        elif kind == "text":
            found[-1][1].extend(line for line in text.splitlines() if line.strip())
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder without data, as it is after `git clone`."""
    folder = tmp_path_factory.mktemp("tour")
    for entry in REPOSITORY.iterdir():
        if entry.name not in {".git", ".venv", "data", "build", ".hypothesis"}:
            (folder / entry.name).symlink_to(entry)
    # The environment of the tests, as it is: make must not install into it from here.
    (folder / ".venv").mkdir()
    for entry in (REPOSITORY / ".venv").iterdir():
        if entry.name not in {".run", ".test"}:
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv" / ".run").touch()
    return folder


def run(page: Path, checkout: Path) -> list[str]:
    """Run all commands of a page in one shell; what each box of them printed."""
    boxes = [box for box, _ in commands(page)]
    script = "".join(f"printf '{MARK}'\n{box}" for box in boxes)
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        check=False,
        cwd=checkout,
        env=clean_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, f"{page.name}:\n{done.stdout}"
    return done.stdout.split(MARK)[1:]


def missing(shown: list[str], printed: str) -> Iterator[str]:
    """What is shown and was not printed, in that order."""
    lines = iter(printed.splitlines())
    for line in shown:
        pattern = ".*".join(re.escape(part) for part in line.split("..."))
        if not any(re.fullmatch(pattern, candidate) for candidate in lines):
            yield line
            return


def test_every_page_is_in_the_overview() -> None:
    assert {page.name for page in DOCS.glob("*.md")} == {p.name for p in pages()} | {"README.md"}


def test_every_link_leads_somewhere() -> None:
    """To a file, and to a heading where it names one."""
    for page in [*DOCS.glob("*.md"), *REPOSITORY.glob("*.md")]:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, heading = target.partition("#")
            if name.startswith("http"):
                continue
            other = (page.parent / name).resolve() if name else page
            assert other.exists(), f"{page.name}: {target}"
            if not heading:
                continue
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert heading in anchors, f"{page.name}: {target}"


@pytest.mark.long
def test_what_pages_show_is_what_commands_print(checkout: Path) -> None:
    """One tour through all pages, because each page depends on those before it."""
    for page in pages():
        printed = run(page, checkout)
        for (box, shown), text in zip(commands(page), printed, strict=True):
            lacking = list(missing(shown, text))
            assert not lacking, f"{page.name}: after\n{box}\nno line like {lacking}, but\n{text}"
