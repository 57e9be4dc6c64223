"""The kinds of settings and parameters that Luigi does not have, or does not refuse in words."""

import json
import re
from collections.abc import Sequence
from typing import Any

import luigi

from pipeline.errors import SettingsError

_IN_PLAIN_WORDS = {
    r"invalid literal for int\(\) with base 10: (.*)": r"\1 is not a whole number",
    r"could not convert string to float: (.*)": r"\1 is not a number",
    r"cannot interpret (.*) as boolean": r"\1 is neither true nor false",
    r"'%' must be followed by .*": "% is written %% in luigi.cfg",
}


def in_plain_words(error: Exception) -> str:
    """Return why a value cannot be read, without Python's terms."""
    text = re.sub(r"\s*\n\s*", " ", str(error).strip())
    for pattern, plain in _IN_PLAIN_WORDS.items():
        text = re.sub(pattern, plain, text)
    return text


class ChoiceParameter(luigi.Parameter[str]):
    """One of a few words. Luigi's own lists them in another order each time."""

    def __init__(self, choices: Sequence[str], **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._choices = choices

    def parse(self, text: str) -> str:
        """Return the word, or raise ValueError."""
        return self.normalize(text)

    def normalize(self, value: str) -> str:
        """Return the word, or raise ValueError with those that there are."""
        if value not in self._choices:
            raise ValueError(f"{value!r} is none of {', '.join(self._choices)}")
        return value


class RenamedParameter(luigi.Parameter[str]):
    """The old name of a setting; reading a value of it is refused with the new name."""

    def __init__(self, section: str, old: str, new: str) -> None:
        super().__init__(default="", description=f"renamed to {new}")
        self._error = (
            f"[{section}] {old} was renamed to {new}. Use the new name in luigi.cfg or on the "
            "command line, then run the same command again."
        )

    def parse(self, text: str) -> str:  # noqa: ARG002
        """Raise SettingsError, whatever the value is."""
        raise SettingsError(self._error)

    @classmethod
    def _parser_kwargs(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        # A switch that had no value is recognized as well.
        return {**super()._parser_kwargs(*args, **kwargs), "nargs": "?", "const": "true"}


class IdsParameter(luigi.Parameter[tuple[str, ...]]):
    """Ids of assessments, written `115538,115539` or as a JSON list."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Read the ids."""
        listed = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
        return tuple(str(each).strip() for each in listed if str(each).strip())

    def serialize(self, ids: tuple[str, ...]) -> str:
        """Write them so that they can be read again."""
        return json.dumps(list(ids))


class ShareParameter(luigi.FloatParameter):
    """A share, 0 to 1: a percentage in its place would switch a check off."""

    def parse(self, text: str) -> float:
        """Read the share, or raise ValueError."""
        share = float(super().parse(text))
        if not 0 <= share <= 1:
            raise ValueError(f"{text} is not from 0 to 1")
        return share


class AtLeastParameter(luigi.IntParameter):
    """A whole number that must not be less than another."""

    def __init__(self, least: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._least = least

    def parse(self, text: str) -> int:
        """Read the number, or raise ValueError."""
        number: int = super().parse(text)
        if number < self._least:
            raise ValueError(f"{number} is less than {self._least}")
        return number
