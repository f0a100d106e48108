"""Work that kills the process which does it: the others come through."""

import subprocess
import sys

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


SCRIPT = """
from mrgantry.common.workers import each

{top}print(sorted(result for _, result in each(abs, [-1, -2, -3], workers=2)))
"""


@pytest.mark.parametrize(
    ("top", "said"),
    [("", "in line 4, and each of them would run the script"),
     ("for _ in [0]:\n    ", "in line 5, and each of them would run the script"),
     ("if __name__ == '__main__':\n    ", "[1, 2, 3]")],
)  # fmt: skip
def test_a_script_without_a_guard_ends_in_a_sentence(top, said, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(top=top))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, check=False
    )
    assert said in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) < 20 and (done.returncode == 0) == ("[1" in said)
