"""Rules that no linter here checks: sizes, and no handler that catches every error."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline"
MODULES = {
    str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_FUNCTION = 45
LONGEST_MODULE = 350


def too_long(source: str) -> Iterator[str]:
    """Yield what is longer than allowed."""
    if len(source.splitlines()) > LONGEST_MODULE:
        yield "the module"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTIONS) and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION:
            yield node.name


def catch_alls(source: str) -> Iterator[int]:
    """Yield the lines that catch every error: bare, or by the name Exception."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and (
            node.type is None or "Exception" in {*names_in(node.type)}
        ):
            yield node.lineno


def names_in(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


@pytest.mark.parametrize("module", MODULES)
def test_every_module_keeps_the_rules(module):
    assert list(too_long(MODULES[module])) == []
    assert list(catch_alls(MODULES[module])) == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (too_long, "def f():\n" + "    pass\n" * LONGEST_FUNCTION),
        (too_long, "\n" * LONGEST_MODULE + "x = 1"),
        (catch_alls, "try:\n    pass\nexcept:\n    pass"),
        (catch_alls, "try:\n    pass\nexcept (OSError, Exception) as e:\n    pass"),
        (catch_alls, "try:\n    pass\nexcept builtins.Exception:\n    pass"),
    ],
)
def test_a_broken_rule_is_noticed(rule, source):
    assert list(rule(source))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (too_long, "def f():\n" + "    pass\n" * (LONGEST_FUNCTION - 1)),
        (too_long, "\n" * (LONGEST_MODULE - 1) + "x = 1"),
        (catch_alls, "try:\n    pass\nexcept (OSError, ValueError):\n    pass"),
    ],
)
def test_code_within_the_rules_passes(rule, source):
    assert not list(rule(source))
