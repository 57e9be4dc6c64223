"""A disk that forgets: every file operation of a run, and what a power cut would leave of it.

A file's content is safe once the file was synced; a name is safe once its folder was. Anything
else may survive a power cut or not, each by itself. Renames are taken to be atomic.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple
from unittest import mock


class Operation(NamedTuple):
    """One change of the disk; paths are relative to the folder that is recorded."""

    kind: str
    path: str
    to: str = ""
    content: bytes = b""
    changed: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.to}".rstrip()


class Recorder:
    """Notes every operation below a folder, by whatever thread, while the context lasts.

    Native code writes files as well. So before and after each operation the whole folder is
    looked at, and what changed without an operation is noted as written just then.
    """

    def __init__(self, root: Path) -> None:
        self.operations: list[Operation] = []
        self._root = str(root.resolve())
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._patches = ExitStack()

    def __enter__(self) -> "Recorder":
        notes: dict[str, Callable[..., None]] = {
            "open": lambda *_: None,
            "mkdir": lambda *_: None,
            "link": lambda old, new: self._note("link", old, new),
            "rename": lambda old, new: self._note("rename", old, new),
            "replace": lambda old, new: self._note("rename", old, new),
            "unlink": lambda path: self._note("unlink", path),
            "remove": lambda path: self._note("unlink", path),
            "rmdir": lambda path: self._note("unlink", path),
            "fsync": lambda handle: self._note("sync", _path_of(handle)),
            "fdatasync": lambda handle: self._note("sync", _path_of(handle)),
        }
        for name, note in notes.items():
            watched = self._watched(getattr(os, name), note)
            self._patches.enter_context(mock.patch.object(os, name, watched))
        self._look()
        self.operations.clear()  # what is there already is nobody's operation
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patches.close()
        self._look()

    def _watched(self, real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        takes = 2 if real in (os.link, os.rename, os.replace) else 1

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._look()
                result = real(*arguments, **options)
                note(*arguments[:takes])
                self._look()
            return result

        return call

    def _note(self, kind: str, path: Any, to: Any = None) -> None:
        inside = self._inside(path)
        # A rename between two names of one file does nothing.
        if not inside or (kind == "rename" and os.path.lexists(path)):
            return
        operation = Operation(kind, inside, self._inside(to) if to is not None else "")
        self.operations.append(operation)
        if kind in {"rename", "unlink"}:
            self._known.pop(inside, None)
        if operation.to:
            self._known[operation.to] = _state(os.lstat(f"{self._root}/{operation.to}"))

    def _inside(self, path: Any) -> str:
        """The path as seen from the recorded folder; empty where it is not below it."""
        full = str(Path(path).absolute())
        return os.path.relpath(full, self._root) if f"{full}/".startswith(f"{self._root}/") else ""

    def _look(self) -> None:
        """Note what was made, written or removed since the last look."""
        with self._lock:
            there = {os.path.relpath(e.path, self._root): e for e in _entries(self._root)}
            for path in self._known.keys() - there.keys():
                self.operations.append(Operation("unlink", path))
                del self._known[path]
            for path, entry in there.items():
                self._look_at(path, entry)

    def _look_at(self, path: str, entry: "os.DirEntry[str]") -> None:
        state = _state(entry.stat(follow_symlinks=False))
        if path not in self._known:
            self.operations.append(Operation("make folder" if entry.is_dir() else "create", path))
        if not entry.is_dir() and self._known.get(path) != state:
            content = Path(entry.path).read_bytes()
            self.operations.append(Operation("write", path, content=content, changed=state[1]))
        self._known[path] = state


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _entries(folder: str) -> Iterable["os.DirEntry[str]"]:
    """Everything below a folder, folders before what is in them."""
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda each: each.name):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _path_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


@dataclass
class Node:
    """A file or a folder, whatever its names are."""

    is_folder: bool = False
    content: bytes = b""
    changed: int = 0
    synced: tuple[bytes, int] | None = None

    @property
    def is_safe(self) -> bool:
        """Whether all of its content would survive."""
        return self.synced == (self.content, self.changed)


@dataclass(frozen=True)
class Loss:
    """What a power cut does to whatever is not safe."""

    names: str
    content: str

    def keeps_a_name(self, chance: Random) -> bool:
        """Whether one change of a folder survives."""
        return chance.random() < 0.5 if self.names == "by chance" else self.names == "kept"

    def left_of(self, node: Node, chance: Random) -> tuple[bytes, int]:
        """The content and time of change that a file is found with."""
        if node.is_safe:
            return node.content, node.changed
        fates = ("kept", "empty", "cut", "garbage", "old")
        fate = chance.choice(fates) if self.content == "by chance" else self.content
        if fate == "old" and node.synced is not None:
            return node.synced
        size = len(node.content)
        left = {
            "kept": node.content,
            "cut": node.content[: chance.randrange(size + 1)],
            "garbage": chance.randbytes(size),
        }
        return left.get(fate, b""), node.changed


HARSH_LOSSES = (
    Loss("kept", "kept"),
    Loss("lost", "empty"),
    Loss("kept", "empty"),
    Loss("kept", "garbage"),
)
"""No loss at all (as by kill -9), all lost, and the two that betray a missing sync of a file."""

BY_CHANCE = Loss("by chance", "by chance")


class Left(NamedTuple):
    """What is found after a power cut: the folders, and content and time of each file."""

    folders: list[str]
    files: dict[str, tuple[bytes, int]]

    @property
    def digest(self) -> int:
        """Equal for folders in which all is equal."""
        return hash((tuple(self.folders), tuple(self.files.items())))


@dataclass
class Disk:
    """The disk as the operations so far made it, and as much of it as is safe."""

    names: dict[str, Node] = field(default_factory=dict)
    safe: dict[str, Node] = field(default_factory=dict)
    pending: list[tuple[str, dict[str, Node | None]]] = field(default_factory=list)

    def do(self, operation: Operation) -> None:
        """Follow one operation."""
        kind, path, to, content, changed = operation
        match kind:
            case "make folder" | "create":
                self._change(path, {path: Node(is_folder=kind == "make folder")})
            case "write":
                self.names[path].content, self.names[path].changed = content, changed
            case "link":
                self._change(to, {to: self.names[path]})
            case "rename":
                self._change(to, {path: None, to: self.names[path]})
            case "unlink":
                self._change(path, {path: None})
            case "sync":
                self._sync(path)

    def _change(self, path: str, names: dict[str, Node | None]) -> None:
        self.pending.append((_folder_of(path), names))
        _apply(names, self.names)

    def _sync(self, path: str) -> None:
        node = self.names.get(path)
        if path == "." or (node is not None and node.is_folder):
            folder = "" if path == "." else path
            for of, names in self.pending:
                if of == folder:
                    _apply(names, self.safe)
            self.pending = [change for change in self.pending if change[0] != folder]
        elif node is not None:
            node.synced = (node.content, node.changed)

    def after_power_cut(self, loss: Loss, chance: Random) -> Left:
        """What is found when the power is back."""
        found = dict(self.safe)
        for _, names in self.pending:
            if loss.keeps_a_name(chance):
                _apply(names, found)
        folders = [path for path in sorted(found) if _is_folder(path, found)]
        there = {"", *folders}
        files = {
            path: loss.left_of(node, chance)
            for path, node in sorted(found.items())
            if not node.is_folder and _folder_of(path) in there
        }
        return Left(folders, files)


def _apply(changes: dict[str, Node | None], names: dict[str, Node]) -> None:
    for path, node in changes.items():
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


def _is_folder(path: str, found: dict[str, Node]) -> bool:
    """Whether a folder is found, with all that it is in."""
    above = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    return all(each in found and found[each].is_folder for each in above)


def rebuild(left: Left, root: Path) -> None:
    """Make the folder that would be found."""
    root.mkdir()
    for folder in left.folders:
        (root / folder).mkdir(mode=0o700)
    for path, (content, changed) in left.files.items():
        (root / path).write_bytes(content)
        os.utime(root / path, ns=(changed, changed))
