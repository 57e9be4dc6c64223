"""Luigi's command line for people: exact options, tasks by name, and the settings in its help."""

import difflib
import functools
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register, TaskClassException

from pipeline.config.parameters import in_plain_words
from pipeline.config.sections import ALL_SECTIONS, ENVIRONMENT, OAUTH1, OAUTH2, Settings
from pipeline.errors import PipelineError

_SETTINGS = {section.__name__ for section in ALL_SECTIONS}
_WIDTH = 100
_OURS = "illuminate-pipeline run"
_PROGRAMS = {"luigi": "luigi --module pipeline", "__main__.py": _OURS, "illuminate-pipeline": _OURS}


def adapt_luigi(tasks: Sequence[str]) -> None:
    """Let Luigi's command line refuse what it cannot read in a sentence, before anything is done.

    Options cannot be abbreviated: Luigi reads the command line once before it knows the task,
    and `--year`, which it does not know then, would match every option of `years`.

    Args:
        tasks: the names to suggest in place of an unknown one.
    """
    build = CmdlineParser._build_parser  # noqa: SLF001  Luigi offers no other place

    def build_exact(root_task: str | None = None, help_all: bool = False) -> ArgumentParser:
        parser: ArgumentParser = build(root_task, help_all)
        parser.allow_abbrev = False
        parser.prog = _PROGRAMS.get(parser.prog, parser.prog)
        parser.usage = f"%(prog)s {root_task or 'TASK'} [--option VALUE ...]"
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = describe_settings()
        if root_task and not _is_task(root_task):
            parser.error(_no_task(root_task, tasks))
        _read_values(parser, root_task)
        return parser

    CmdlineParser._build_parser = staticmethod(build_exact)  # type: ignore[method-assign]  # noqa: SLF001


def _is_task(name: str) -> bool:
    """Return True if Luigi can run what has this name; sections of settings are no tasks."""
    try:
        return not issubclass(Register.get_task_cls(name), luigi.Config)
    except TaskClassException:
        return False


def _no_task(name: str, tasks: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, tasks)
    hint = f"did you mean {' or '.join(near)}?" if near else "RunAll does everything for a year."
    return f"there is no task {name!r}; {hint} The task comes first, then its options."


def _read_values(parser: ArgumentParser, root_task: str | None) -> None:
    """Let the parser refuse values that are not of their option's kind.

    Those of settings are left to the run, which records that it was refused.
    """
    actions = parser._option_string_actions  # noqa: SLF001  Luigi adds them without returning them
    for section, is_bare, name, parameter in Register.get_all_params():
        flags = [name if is_bare else f"{section}_{name}", *([name] * (section == root_task))]
        for flag in flags:
            action = actions[f"--{flag.replace('_', '-')}"]
            if action.nargs != 0 and section not in _SETTINGS:
                action.type = functools.partial(_checked, parameter.parse)


def _checked(parse: Callable[[str], object], text: str) -> str:
    """Return the text, which Luigi parses later, or refuse it."""
    try:
        parse(text)
    except PipelineError:  # which Luigi then meets again, and ends with its sentence
        return text
    except ValueError as error:
        raise ArgumentTypeError(in_plain_words(error)) from None
    return text


@functools.cache
def describe_settings() -> str:
    """Return all settings by section, with variables and defaults, for a help text."""
    intro = (
        "settings by section of luigi.cfg (command line > environment > luigi.cfg > default). "
        "On the command line of a run, threads of [illuminate] is --illuminate-threads:"
    )
    lines = textwrap.wrap(intro, _WIDTH)
    for section in ALL_SECTIONS:
        lines += ["", f"[{section.__name__}] {section.__doc__}"]
        lines += [line for text in _settings_of(section) for line in text]
    secrets = f"secrets, in the environment only: {', '.join(OAUTH2)}; or {', '.join(OAUTH1)}; "
    secrets += "PIPELINE_DATABASE_URL for load; PIPELINE_WEBHOOK_URL for each run's result. "
    secrets += "Each may have _FILE behind its name, and then names a file with the value."
    return "\n".join([*lines, "", *textwrap.wrap(secrets, _WIDTH)])


def _settings_of(section: type[Settings]) -> Iterator[list[str]]:
    variables = {place: variable for variable, place in ENVIRONMENT.items()}
    for name, parameter in section.current_params():
        text, default = parameter.description or "", _default(parameter)
        more = [f"default {default}"] if default and "default" not in text else []
        if variable := variables.get((section.__name__, name)):
            more.append(f"or {variable}")
        text += f" ({'; '.join(more)})" if more else ""
        first = f"  {name:<26}"
        yield textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first))


def _default(parameter: luigi.Parameter[Any]) -> str:
    """Return a default as it is written in luigi.cfg; empty if it is nothing."""
    value = parameter._default  # noqa: SLF001  Luigi tells only what is set now
    if isinstance(value, float):
        return f"{value:g}"
    return str(parameter.serialize(value)).lower() if value not in ("", ()) else ""
