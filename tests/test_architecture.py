"""The house rules: who may import whom, and how long, documented and careful code must be.

ROWS is the plan of the house. A module may import from rows below its own and never from its own
row or above. To add a module, put its name where it belongs.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline"

# From the roof to the ground. A package (tasks, illuminate, simulator) is one unit with all that
# is in it; the commands are units of their own.
ROWS = (
    {"__main__"},
    {
        "commands.copy",
        "commands.dictionary",
        "commands.doctor",
        "commands.forget",
        "commands.load",
        "commands.report",
        "commands.run",
        "commands.status",
        "commands.verify",
    },
    {"__init__"},
    {"tasks"},
    {"config", "demo"},
    {"sections"},
    {"all_years", "attempts", "copying", "loading", "result"},
    {
        "asking",
        "build",
        "catalogue",
        "checks",
        "credentials",
        "fetch",
        "labels",
        "prior",
        "progress",
        "publish",
        "report",
        "roster",
        "sql_views",
        "summary",
        "webhook",
    },
    {"source", "targets"},
    {"follow", "shards", "layout", "illuminate", "guards", "rules", "simulator"},
    {"encodings", "files", "memory", "pool", "settings", "tables", "verdicts", "years"},
    {"errors"},
)

# Units of which only some others may know.
ONLY_IMPORTED_BY = {
    "simulator": {"__main__", "demo"},
    "config": {"__init__", "__main__", "tasks", "commands"},
    "sections": {"config", "tasks", "commands"},
    "demo": {"__main__", "tasks", "commands"},
}

# Units that may import nothing of the pipeline but these.
ONLY_IMPORTS = {
    "simulator": {"years"},
    "illuminate": {"years", "errors"},
    "rules": {"errors"},
    "labels": {"rules", "errors"},
    "roster": {"errors", "encodings"},
    "prior": {"errors", "encodings", "tables", "years"},
    "all_years": {"build", "tables"},
    "loading": {"checks", "publish", "files", "tables", "years", "errors"},
    "report": set(),
    "result": {"summary"},
    "webhook": {"errors", "illuminate"},
    "years": {"errors"},
    "errors": set(),
    "tables": set(),
    "encodings": set(),
    "files": {"errors"},
}

# Libraries, and the units that may import them.
LIBRARIES = {
    "luigi": {"commands.run", "tasks", "targets", "config", "sections", "settings"},
    "pandas": {"labels", "roster", "rules", "tasks"},
    "polars": {
        "all_years",
        "attempts",
        "build",
        "checks",
        "illuminate",
        "loading",
        "report",
        "shards",
        "tasks",
        "source",
    },
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
    "requests": {"illuminate", "webhook"},
    "authlib": {"illuminate", "simulator"},
    "tornado": {"simulator"},
    "rich": {"progress"},
    "duckdb": {"loading", "sql_views"},
    "psycopg": {"loading"},
    "fsspec": {"copying"},
}

LONGEST_FUNCTION = 45
LONGEST_MODULE = 350

Modules = dict[str, str]
"""Source text by the module's name below `pipeline`, like `tasks.base`."""


def read_modules() -> Modules:
    names = {p: p.relative_to(PACKAGE).with_suffix("").parts for p in PACKAGE.rglob("*.py")}
    return {
        ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts): (
            path.read_text(encoding="utf-8")
        )
        for path, parts in sorted(names.items())
    }


MODULES = read_modules()


# Who imports whom.


def unit_of(module: str) -> str:
    """The unit of the plan that a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "commands" else parts[0]


def imported(module: str, source: str, known: set[str]) -> Iterator[str]:
    """All modules that a source imports, wherever in it, by their full names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["pipeline", *module.split(".")][: -node.level]
                base = ".".join([*here, *([base] if base else [])])
            for alias in node.names:
                inside = f"{base}.{alias.name}".removeprefix("pipeline.")
                is_module = base.startswith("pipeline") and inside in known
                yield f"pipeline.{inside}" if is_module else base


def broken_imports(modules: Modules) -> set[str]:
    """Every import that breaks a rule, in words."""
    height = {unit: -row for row, units in enumerate(ROWS) for unit in units}
    broken = set()
    for module, source in modules.items():
        unit = unit_of(module)
        for name in imported(module, source, set(modules)):
            package, _, inside = name.partition(".")
            allowed = LIBRARIES.get(package)
            if allowed is not None and unit not in allowed:
                broken.add(f"{module} imports {package}")
            if package != "pipeline":
                continue
            other = unit_of(inside or "__init__")
            if other == unit or not {unit, other} <= height.keys():
                continue
            knows = ONLY_IMPORTED_BY.get(other)
            may = ONLY_IMPORTS.get(unit)
            if (
                height[other] >= height[unit]
                or (knows is not None and not {unit, unit.split(".")[0]} & knows)
                or (may is not None and other not in may)
            ):
                broken.add(f"{module} imports {other}")
    return broken


def test_every_module_has_its_place_in_the_plan():
    there = {unit_of(module) for module in MODULES} - {"commands"}
    placed = [unit for row in ROWS for unit in row]
    assert there == set(placed)
    assert len(placed) == len(set(placed))


def test_imports_go_down_only():
    assert broken_imports(MODULES) == set()


PLANTED = [
    ("build", "from pipeline import labels", "build imports labels"),
    ("checks", "from pipeline.publish import Marker", "checks imports publish"),
    ("errors", "import pipeline.years", "errors imports years"),
    ("labels", "from . import files", "labels imports files"),
    ("illuminate.pages", "from ..shards import Entry", "illuminate.pages imports shards"),
    ("shards", "def f():\n    from pipeline import build", "shards imports build"),
    ("shards", "if TYPE_CHECKING:\n    import pipeline.fetch", "shards imports fetch"),
    ("tasks.base", "from pipeline import RunAll", "tasks.base imports __init__"),
    ("tasks.base", "from pipeline.simulator import District", "tasks.base imports simulator"),
    ("layout", "from pipeline import config", "layout imports config"),
    ("commands.status", "from pipeline.commands import verify", "commands.status imports "),
    ("simulator.api", "from pipeline.errors import PipelineError", "simulator.api imports errors"),
    ("simulator.api", "from pipeline.tables import VIEW", "simulator.api imports tables"),
    ("shards", "import luigi", "shards imports luigi"),
    ("illuminate.pages", "from pandas import DataFrame", "illuminate.pages imports pandas"),
    ("illuminate.pages", "import rich.text", "illuminate.pages imports rich"),
    ("build", "from requests.adapters import HTTPAdapter", "build imports requests"),
]


@pytest.mark.parametrize(("module", "line", "words"), PLANTED)
def test_an_import_against_the_rules_is_found(module, line, words):
    planted = MODULES | {module: f"{MODULES[module]}\n{line}\n"}
    found = broken_imports(planted) - broken_imports(MODULES)
    assert len(found) == 1
    assert found.pop().startswith(words)


# Length, documentation and care.

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def public(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    """A module with its public classes, functions and methods, each with its full name."""
    yield name, node
    for child in getattr(node, "body", []):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public(child, f"{name}.{child.name}")
        elif isinstance(child, FUNCTIONS) and not child.name.startswith("_"):
            yield f"{name}.{child.name}", child


def undocumented(modules: Modules) -> list[str]:
    """Public things without a docstring; overloads and setters speak through their first one."""
    return [
        name
        for module, source in modules.items()
        for name, node in public(ast.parse(source), module)
        if not ast.get_docstring(node)
    ]


def too_long(modules: Modules) -> list[str]:
    """Functions and modules that are longer than they may be."""
    found = [m for m, source in modules.items() if len(source.splitlines()) > LONGEST_MODULE]
    for module, source in modules.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, FUNCTIONS) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found.append(f"{module}.{node.name}")
    return found


def catch_alls(modules: Modules) -> list[str]:
    """Places that catch every error: bare, or by the name Exception."""
    return [
        f"{module}, line {node.lineno}"
        for module, source in modules.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "Exception" in {*names_in(node.type)})
    ]


def names_in(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def test_everything_public_has_a_docstring():
    assert undocumented(MODULES) == []


def test_no_function_and_no_module_is_too_long():
    assert too_long(MODULES) == []


def test_nothing_catches_every_error():
    assert catch_alls(MODULES) == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (undocumented, "x = 1"),
        (undocumented, '"""M."""\ndef f():\n    pass'),
        (undocumented, '"""M."""\nclass C:\n    """C."""\n    async def f(self):\n        pass'),
        (too_long, "def f():\n" + "    pass\n" * LONGEST_FUNCTION),
        (too_long, "\n" * LONGEST_MODULE + "x = 1"),
        (catch_alls, "try:\n    pass\nexcept:\n    pass"),
        (catch_alls, "try:\n    pass\nexcept (OSError, Exception) as e:\n    pass"),
        (catch_alls, "try:\n    pass\nexcept builtins.Exception:\n    pass"),
    ],
)
def test_what_breaks_a_rule_is_found(rule, source):
    assert rule({"planted": source})


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (undocumented, '"""M."""\ndef _f():\n    pass\nclass _C:\n    pass'),
        (too_long, "def f():\n" + "    pass\n" * (LONGEST_FUNCTION - 1)),
        (too_long, "\n" * (LONGEST_MODULE - 1) + "x = 1"),
        (catch_alls, "try:\n    pass\nexcept (OSError, ValueError):\n    pass"),
    ],
)
def test_what_keeps_to_a_rule_is_not_found(rule, source):
    assert not rule({"planted": source})
