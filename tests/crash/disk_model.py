"""A model of a disk that loses unsynced data: the file operations of a run, and power cuts.

A file's content is safe once the file was synced, even while more is appended to it; a name is
safe once its folder was synced. Anything else may or may not survive a power cut, independently.
Renames are assumed to be atomic.
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
    """One change of the disk; paths are relative to the recorded folder."""

    kind: str
    path: str
    to: str = ""
    content: bytes = b""
    changed: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.to}".rstrip()


class Recorder:
    """Records every operation below a folder, by any thread, during the context.

    Native code writes files too. So the whole folder is scanned before and after each operation,
    and what changed without an operation is recorded as written at that time.
    """

    def __init__(self, root: Path) -> None:
        self.operations: list[Operation] = []
        self._root = str(root.resolve())
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._patches = ExitStack()

    def __enter__(self) -> "Recorder":
        recorders: dict[str, Callable[..., None]] = {
            "open": lambda *_: None,
            "mkdir": lambda *_: None,
            "link": lambda old, new: self._record("link", old, new),
            "rename": lambda old, new: self._record("rename", old, new),
            "replace": lambda old, new: self._record("rename", old, new),
            "unlink": lambda path: self._record("unlink", path),
            "remove": lambda path: self._record("unlink", path),
            "rmdir": lambda path: self._record("unlink", path),
            "fsync": lambda handle: self._record("sync", _path_of(handle)),
            "fdatasync": lambda handle: self._record("sync", _path_of(handle)),
        }
        for name, record in recorders.items():
            wrapped = self._wrap(getattr(os, name), record)
            self._patches.enter_context(mock.patch.object(os, name, wrapped))
        self._scan()
        self.operations.clear()  # what exists already is no operation
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patches.close()
        self._scan()

    def _wrap(self, real: Callable[..., Any], record: Callable[..., None]) -> Callable[..., Any]:
        takes = 2 if real in (os.link, os.rename, os.replace) else 1

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._scan()
                result = real(*arguments, **options)
                record(*arguments[:takes])
                self._scan()
            return result

        return call

    def _record(self, kind: str, path: Any, to: Any = None) -> None:
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
        """Return the path relative to the recorded folder; empty if it is outside."""
        full = str(Path(path).absolute())
        return os.path.relpath(full, self._root) if f"{full}/".startswith(f"{self._root}/") else ""

    def _scan(self) -> None:
        """Record what was created, written or removed since the last scan."""
        with self._lock:
            there = {os.path.relpath(e.path, self._root): e for e in _entries(self._root)}
            for path in self._known.keys() - there.keys():
                self.operations.append(Operation("unlink", path))
                del self._known[path]
            for path, entry in there.items():
                self._scan_entry(path, entry)

    def _scan_entry(self, path: str, entry: "os.DirEntry[str]") -> None:
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
    """Yield everything below a folder, folders before their contents.

    The claim of a run is left out: its host has started again since, so the next run would wait for
    its heartbeat, whatever remains of it.
    """
    with os.scandir(folder) as found:
        there = [each for each in found if not each.name.startswith(".lock.")]
        for entry in sorted(there, key=lambda each: each.name):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _path_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


@dataclass
class Node:
    """A file or a folder, independent of its names."""

    is_folder: bool = False
    content: bytes = b""
    changed: int = 0
    synced: tuple[bytes, int] | None = None

    @property
    def is_safe(self) -> bool:
        """Return True if all of its content would survive."""
        return self.synced == (self.content, self.changed)


@dataclass(frozen=True)
class Loss:
    """What a power cut does to everything that is not safe."""

    names: str
    content: str

    def keeps_name(self, rng: Random) -> bool:
        """Return True if one change of a folder survives."""
        return rng.random() < 0.5 if self.names == "random" else self.names == "kept"

    def remains_of(self, node: Node, rng: Random) -> tuple[bytes, int]:
        """Return a file's content and modification time after the power cut."""
        if node.is_safe:
            return node.content, node.changed
        fates = ("kept", "empty", "cut", "garbage", "old")
        fate = rng.choice(fates) if self.content == "random" else self.content
        if fate == "old" and node.synced is not None:
            return node.synced
        safe = node.synced[0] if node.synced else b""
        if not node.content.startswith(safe):
            safe = b""
        tail = node.content[len(safe) :]
        left = {
            "kept": tail,
            "cut": tail[: rng.randrange(len(tail) + 1)],
            "garbage": rng.randbytes(len(tail)),
        }
        return safe + left.get(fate, b""), node.changed


HARSH_LOSSES = (
    Loss("kept", "kept"),
    Loss("lost", "empty"),
    Loss("kept", "empty"),
    Loss("kept", "garbage"),
)
"""No loss (as with kill -9), everything lost, and the two that reveal a missing file sync."""

RANDOM_LOSS = Loss("random", "random")


class Remains(NamedTuple):
    """What remains after a power cut: the folders, and each file's content and time."""

    folders: list[str]
    files: dict[str, tuple[bytes, int]]

    @property
    def digest(self) -> int:
        """Return a hash that is equal for equal remains."""
        return hash((tuple(self.folders), tuple(self.files.items())))


@dataclass
class Disk:
    """The disk after the operations so far, and the part of it that is safe."""

    names: dict[str, Node] = field(default_factory=dict)
    safe: dict[str, Node] = field(default_factory=dict)
    pending: list[tuple[str, dict[str, Node | None]]] = field(default_factory=list)

    def do(self, operation: Operation) -> None:
        """Apply one operation."""
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

    def after_power_cut(self, loss: Loss, rng: Random) -> Remains:
        """Return what remains when the power is back."""
        found = dict(self.safe)
        for _, names in self.pending:
            if loss.keeps_name(rng):
                _apply(names, found)
        folders = [path for path in sorted(found) if _is_folder(path, found)]
        there = {"", *folders}
        files = {
            path: loss.remains_of(node, rng)
            for path, node in sorted(found.items())
            if not node.is_folder and _folder_of(path) in there
        }
        return Remains(folders, files)


def _apply(changes: dict[str, Node | None], names: dict[str, Node]) -> None:
    for path, node in changes.items():
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


def _is_folder(path: str, found: dict[str, Node]) -> bool:
    """Return True if a folder and all of its parents remain."""
    above = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    return all(each in found and found[each].is_folder for each in above)


def rebuild(left: Remains, root: Path) -> None:
    """Create the folder as it would be found."""
    root.mkdir()
    for folder in left.folders:
        (root / folder).mkdir(mode=0o700)
    for path, (content, changed) in left.files.items():
        (root / path).write_bytes(content)
        os.utime(root / path, ns=(changed, changed))
