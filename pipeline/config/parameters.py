"""Sections of settings, which say by name what in them cannot be read."""

import json
from collections.abc import Sequence
from typing import Any

import luigi

from pipeline.errors import SettingsError


class Settings(luigi.Config):
    """A section of settings; one that cannot be read is told in a plain sentence."""

    @classmethod
    def get_param_values(
        cls, params: Sequence[tuple[str, luigi.Parameter[Any]]], args: object, kwargs: object
    ) -> list[tuple[str, Any]]:
        """The values of all settings of the section.

        Raises:
            SettingsError: one of them is not of its kind.
        """
        try:
            values: list[tuple[str, Any]] = super().get_param_values(params, args, kwargs)
        except ValueError:
            for name, parameter in params:
                cls._try(name, parameter)
            raise
        return values

    @classmethod
    def _try(cls, name: str, parameter: luigi.Parameter[Any]) -> None:
        try:
            parameter.has_task_value(cls.__name__, name)
        except ValueError as error:
            raise SettingsError(
                f"[{cls.__name__}] {name} cannot be read ({error}); it means: "
                f"{parameter.description}."
            ) from None


class IdsParameter(luigi.Parameter[tuple[str, ...]]):
    """Ids of assessments, written `115538,115539` or as a JSON list."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Read the ids."""
        listed = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
        return tuple(str(each).strip() for each in listed if str(each).strip())

    def serialize(self, ids: tuple[str, ...]) -> str:
        """Write them so that they can be read again."""
        return json.dumps(list(ids))
