"""What the code tells people: errors, warnings and refusals, as far as its source has them as text.

Seen are the texts of calls: of the pipeline's errors, of `log.warning` and the like, of
`parser.error`, of doctor's notes, and of `print` to a file; what `make` prints on standard error;
and the reasons in the constants of network.py. A name in them is followed to what its function or
module assigns to it.

Not seen is what a function returns, like the notes of guards and checks, which one message with
an entry of its own lists; what another module brings; and what is printed on standard output, like
the lines of a summary. Faults of files that people maintain are left out: `InputFileError.at` adds
the place and what to do. `SettingsError.refused` is seen without what it adds by itself.
"""

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
HOLE = "<...>"
_LOG = {"warning", "error", "critical"}
# What ends a command besides the errors of the pipeline.
_REFUSALS = {"PipelineError", "ArgumentTypeError"}
_NOTES = {"Note"}


@dataclass(frozen=True)
class Message:
    """A message with `<...>` for what is filled in, and the line of code that has it."""

    text: str
    place: str


class _Module:
    """One module, and what the names in it stand for as far as it is text."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.place = path.relative_to(REPOSITORY)
        self._constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        self._function = {
            node: function
            for function in ast.walk(self.tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        self._locals: dict[tuple[ast.FunctionDef, str], list[ast.expr]] = {}
        for node, function in self._function.items():
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                key = function, node.targets[0].id
                self._locals.setdefault(key, []).append(node.value)
        self._attributes = {
            target.attr: node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute)
        }

    def texts(self, node: ast.expr) -> list[str]:
        """Return what an expression may say; nothing if it only passes on what others say."""
        match node:
            case ast.Constant(value=str(text)):
                return [re.sub(r"%[sd]|%\.\df", HOLE, text)]
            case ast.JoinedStr(values=parts):
                filled = (self._fill(part) for part in parts)
                return ["".join(filled)]
            case ast.IfExp(body=one, orelse=other):
                return self.texts(one) + self.texts(other)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [a + b for a in self.texts(left) for b in self.texts(right)]
            case ast.Name():
                return [text for value in self._assigned(node) for text in self.texts(value)]
            case ast.Attribute(attr=name) if name in self._attributes:
                return self.texts(self._attributes[name])
            case ast.Subscript(value=ast.Name(id=name)):
                table = self._constants.get(name)
                values = table.values if isinstance(table, ast.Dict) else []
                return [text for value in values for text in self.texts(value)]
        return []

    def _assigned(self, name: ast.Name) -> list[ast.expr]:
        """Return what is assigned to a name: in its function, or else in the module."""
        function = self._function.get(name)
        found = self._locals.get((function, name.id), []) if function else []
        return found or [each for each in [self._constants.get(name.id)] if each]

    def sentences(self) -> Iterator[str]:
        """Return what is text of several words in the constants, by itself or in a table."""
        for value in self._constants.values():
            for each in value.values if isinstance(value, ast.Dict) else [value]:
                yield from (text for text in self.texts(each) if " " in text)

    def _fill(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        constant = part.value if isinstance(part, ast.FormattedValue) else part
        known = self.texts(constant) if isinstance(constant, ast.Name) else []
        return known[0] if known else HOLE


@functools.cache
def messages() -> list[Message]:
    """Return every message, in the order of the code."""
    modules = [_Module(path) for path in sorted((REPOSITORY / "pipeline").rglob("*.py"))]
    errors = _error_classes(modules)
    found = {
        Message(text, f"{module.place}:{call.lineno}"): None
        for module in modules
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call)
        for text in _said(module, call, errors)
    }
    network = _Module(REPOSITORY / "pipeline" / "network.py")
    found |= {Message(text, str(network.place)): None for text in network.sentences()}
    found |= dict.fromkeys(_of_make())
    return [message for message in found if message.text.replace(HOLE, "").strip(" .:;,()")]


def _of_make() -> Iterator[Message]:
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        for text in re.findall(r'echo "((?:\\.|[^"\\])*)" >&2', line):
            yield Message(re.sub(r"\$\([^)]*\)+|\$\$\w+", HOLE, text), f"Makefile:{number}")


def _error_classes(modules: list[_Module]) -> set[str]:
    """Return the names of pipeline.errors.PipelineError and of all classes below it."""
    bases = {
        node.name: {_name(base) for base in node.bases}
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    found = set(_REFUSALS)
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def _said(module: _Module, call: ast.Call, errors: set[str]) -> Iterator[str]:
    name, between = _name(call.func), "\n"
    if name == "refused" and isinstance(call.func, ast.Attribute):
        name, between = _name(call.func.value), ". "  # its class, which puts sentences together
    is_print = name == "print" and any(word.arg == "file" for word in call.keywords)
    if name in errors | _NOTES:
        lines = [module.texts(argument) for argument in call.args]
        yield between.join(text for texts in lines for text in texts)
    elif call.args and (is_print or (name in _LOG and _is_log(call.func))):
        yield from module.texts(call.args[0])


def _is_log(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and _name(function.value) in {"log", "parser"}


def _name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def texts() -> list[str]:
    """Return every text in the code, but docstrings, and the Makefile; `<...>` is filled in."""
    found = [(REPOSITORY / "Makefile").read_text(encoding="utf-8")]
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else HOLE for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [node.value] if node not in docstrings else []
    return found
