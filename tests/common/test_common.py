import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrgantry.common import progress as progress_module
from mrgantry.common.errors import DataError, unknown
from mrgantry.common.files import fingerprint, read_json, whole, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep/file.txt"
    with pytest.raises(ZeroDivisionError), whole(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert not path.exists()
    assert list(path.parent.iterdir()) == []
    with whole(path) as aside:
        aside.write_text("all")
    assert path.read_text() == "all"


def test_a_full_disk_is_said(tmp_path):
    with (
        pytest.raises(DataError, match=r"file\.txt cannot be written: No space left on device"),
        whole(tmp_path / "file.txt"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_place_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"), whole(tmp_path / "file/a.txt"):
        pass


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"ä": [1, 2]})
    assert read_json(tmp_path / "a.json") == {"ä": [1, 2]}
    with pytest.raises(DataError, match="does not exist"):
        read_json(tmp_path / "b.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not a readable JSON"):
        read_json(tmp_path / "a.json")


def test_fingerprints_tell_chunks_apart():
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint([b"ab"]) == fingerprint(["ab"])


def test_the_nearest_word_is_offered():
    assert unknown("key", "widht", ["network.width", "batch"], "recipe").endswith(
        "Did you mean 'network.width'?"
    )
    assert "Known: a, b" in unknown("key", "zzzz", ["b", "a"], "recipe")


def test_commands_can_be_pasted():
    line = command_line("prepare", "my scans", "out", sequence=("t1", "t2"), pool=True, fit=None)
    assert line == "mrgantry prepare 'my scans' out --sequence t1 --sequence t2 --pool"


def test_versions_are_named():
    assert versions()["mrgantry"] != "not installed"


WORK = """
import sys, time
from pathlib import Path
from mrgantry.common.workers import each
def work(item):
    Path(sys.argv[1], str(item)).write_text(str(__import__("os").getpid()))
    time.sleep(60)
if __name__ == "__main__":
    list(each(work, [1, 2], workers=2))
"""


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "out").mkdir()
    parent = subprocess.Popen([sys.executable, str(tmp_path / "work.py"), str(tmp_path / "out")])
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    workers = [int(path.read_text()) for path in (tmp_path / "out").iterdir()]
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_file_in_the_way_is_said_and_nothing_else_raised(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"cannot be written"):
        write_json(tmp_path / "notes.txt/page.json", {})


def test_progress_into_a_file_is_a_line_now_and_then(capsys, monkeypatch):
    """As in the log of a cluster's job: the first line after a minute, then one a minute."""
    clock = iter([0.0, 30.0, 70.0, 80.0, 131.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    with progress("train", 1000, done=100) as advance:
        for _ in range(4):
            advance(100, note="s1")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "train 300 of 1,000, 1 min spent, about 4 min left, s1",
        "train 500 of 1,000, 2 min spent, about 3 min left, s1",
    ]


def test_another_process_of_a_training_writes_no_progress(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(progress_module, "PAUSE", 0.0)
    with progress("train", 10) as advance:
        advance(5)
    assert capsys.readouterr().err == ""
