"""The list of situations itself: each has one name, and a known defect is a situation's."""

from __future__ import annotations

from collections import Counter

from . import test_archives, test_copies, test_environment, test_hosts, test_locations, test_programs
from .known_defects import KNOWN_DEFECTS

LISTS = (test_archives, test_copies, test_environment, test_hosts, test_locations, test_programs)
ALL = [*(situation for each in LISTS for situation in each.situations()), *test_hosts.BUCKETS]


def test_each_situation_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(one.name for one in ALL).items() if count > 1] == []


def test_each_known_defect_is_a_situation() -> None:
    assert KNOWN_DEFECTS.keys() - {situation.name for situation in ALL} == set()


def test_each_sample_is_a_situation() -> None:
    quick = {situation.name.removeprefix("archive ") for situation in ALL if situation.quick}
    assert set().union(*(each.QUICK for each in LISTS)) - quick == set()
