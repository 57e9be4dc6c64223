"""A run for a scheduler that wants to know by the exit code whether there is something new."""

from luigi.cmdline import luigi_run

from pipeline.tasks.run import Run

NOTHING_CHANGED = 99
"""The exit code where all that was asked for was published before."""


def run(arguments: list[str]) -> int:
    """Do what `luigi --module pipeline` does with these arguments.

    Returns:
        NOTHING_CHANGED, or Luigi's exit code.
    """
    code: int | str | None = None
    try:
        luigi_run(["--module", "pipeline", *arguments])
    except SystemExit as ended:
        code = ended.code
    this = Run.current
    Run.end()
    if not code and this is not None and this.outcome == "up to date":
        return NOTHING_CHANGED
    raise SystemExit(code)
