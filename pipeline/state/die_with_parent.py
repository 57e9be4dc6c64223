"""Become a command that the kernel kills when the process that started it ends, however it ends.

It is run by its path, so that nothing of the pipeline is imported, and leaves no process between
the two:

    python die_with_parent.py PARENT COMMAND ARGUMENT...

PARENT is the id of the process that starts it. On systems other than Linux the command is run, and
may outlive its parent; the lock of its data folder then holds off the next run.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, *command: str) -> None:
    """Replace this process by the command.

    Raises:
        OSError: the kernel refuses, or there is no such command.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "the kernel does not tie this process to its parent")
        if os.getppid() != int(parent):
            sys.exit(1)  # it ended before the kernel knew
    os.execv(command[0], command)  # noqa: S606  what the parent started


if __name__ == "__main__":
    main(*sys.argv[1:])
