"""The verdict of a check or guard: a value with a name, a result and a note in plain words."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """What was compared, whether it agrees, and a sentence with the counts."""

    name: str
    ok: bool
    note: str

    def as_json(self) -> dict[str, Any]:
        """The check as it stands in the run record."""
        return asdict(self)
