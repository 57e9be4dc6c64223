"""What a run prints while it works: a line per message."""

import logging

from pipeline.runs.messages import print_lines


def test_a_message_is_one_line_whatever_it_quotes(capsys):
    with print_lines():
        logging.getLogger("pipeline.any").warning("%s was restored", "a\n\x1b[32mb\u202e")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r" a\n\x1b[32mb\u202e was restored")
