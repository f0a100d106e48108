"""Long work begins in a free folder, and goes on only on the terms that it was begun on."""

import pytest

from mrgantry.common.errors import RunError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.workfolder import begin, is_begun, refuse_changes

WHAT = ("walk.json", "a walk")


def test_the_same_terms_go_on_and_others_are_named(tmp_path):
    terms = {"seeds": (1, 2), "plan": {"steps": 3, "long": "x" * 80}}
    begin(tmp_path / "out", *WHAT, terms)
    begin(tmp_path / "out", *WHAT, terms)
    assert read_json(tmp_path / "out/walk.json")["seeds"] == [1, 2]
    changed = {"seeds": (1, 3), "plan": {"steps": 4, "long": "y" * 80}}
    with pytest.raises(RunError) as caught:
        begin(tmp_path / "out", *WHAT, changed)
    assert str(caught.value) == (
        f"{tmp_path / 'out'} was begun otherwise: seeds was [1, 2], now [1, 3]; plan.steps was 3, "
        "now 4; other plan.long. Repeat the first command to go on with it, or choose another "
        "folder."
    )


def test_a_folder_of_other_things_and_a_file_are_refused(tmp_path):
    (tmp_path / ".half").touch()  # a kill leaves such
    assert not is_begun(tmp_path, *WHAT)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match="is not empty and is not a walk"):
        is_begun(tmp_path, *WHAT)
    with pytest.raises(RunError, match="is a file; name a folder for a walk"):
        is_begun(tmp_path / "thesis.txt", *WHAT)


def test_a_mark_without_terms_is_refused(tmp_path):
    write_json(tmp_path / "walk.json", [1])
    with pytest.raises(RunError, match="was not begun by mrgantry"):
        begin(tmp_path, *WHAT, {"seed": 0})
    with pytest.raises(RunError, match="was not begun by mrgantry"):
        refuse_changes(tmp_path, None, {"seed": 0})
