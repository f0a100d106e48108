"""Work that kills the process which does it: the others come through."""

import pytest

from conftest import killed_by
from mrgantry.common.errors import RunError
from mrgantry.common.workers import each


def test_an_item_that_kills_its_process_is_reported_and_the_others_come_through():
    done = dict(each(killed_by, [1, 3, 5], workers=2, lost=lambda item: f"{item} was lost"))
    assert done == {item: "3 was lost" if item == 3 else item * item for item in (1, 3, 5)}


def test_without_anyone_to_report_to_it_ends_the_work():
    with pytest.raises(RunError, match="A worker process died; most often memory ran out"):
        list(each(killed_by, [3], workers=2))
