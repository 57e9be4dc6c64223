"""Settings are read once while a run lasts, and as they are at all other times."""

import itertools

from pipeline.config.memory import Memory


def test_a_value_is_read_once_from_begin_to_end():
    memory, read = Memory(), itertools.count().__next__
    assert [memory.get(read), memory.get(read)] == [0, 1]
    memory.begin()
    assert [memory.get(read), memory.get(read)] == [2, 2]
    memory.end()
    assert [memory.get(read), memory.get(read)] == [3, 4]


def test_each_run_reads_anew():
    memory, read = Memory(), itertools.count().__next__
    memory.begin()
    assert memory.get(read) == 0
    memory.begin()
    assert memory.get(read) == 1


def test_values_are_told_apart_and_none_is_a_value():
    memory = Memory()
    memory.begin()
    assert memory.get(list) == []
    assert memory.get(dict) == {}
    answers = iter([None, "asked again"])
    read = answers.__next__
    assert memory.get(read) is None
    assert memory.get(read) is None
