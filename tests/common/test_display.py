"""Results and progress as notebooks show them."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrgantry.common.display import Display, Displayed
from mrgantry.common.progress import progress


class Result(Displayed):
    def __init__(self, *shown):
        self.shown = shown

    @property
    def display(self):
        return Display(*self.shown)


def test_text_has_sentences_and_table():
    table = pd.DataFrame({"score": ["a"], "value": [0.123456]})
    assert repr(Result(["It is <good>."], table)).splitlines() == [
        "It is <good>.",
        "",
        "score  value",
        "    a  0.123",
    ]


def test_a_notebook_has_a_picture_as_long_as_it_is_there(tmp_path):
    picture = tmp_path / "strip.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(picture)
    result = Result(["It is <good>.", "So is this."], None, picture)
    assert "<li>It is &lt;good&gt;.</li>" in result._repr_html_()
    assert "data:image/png;base64," in result._repr_html_()
    picture.unlink()
    assert "<img" not in result._repr_html_()


@pytest.fixture
def notebook(monkeypatch):
    """A kernel that keeps what a cell shows."""
    cell = []

    class Handle:
        def update(self, shown):
            cell[0] = shown

    def display(shown, display_id):
        cell.append(shown)
        return Handle()

    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    shown = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr("mrgantry.common.progress.BLINK", 0.0)
    return cell


def test_a_notebook_has_a_bar_that_goes(notebook, capsys):
    with progress("train", 10, done=2) as advance:
        advance(3, note="loss < 1")
        assert notebook[0].startswith("<progress max='10' value='5'></progress> train 5 of 10,")
        assert "loss &lt; 1" in notebook[0]
    assert notebook == [""] and capsys.readouterr().err == ""


def test_a_failure_takes_the_bar_along(notebook):
    with pytest.raises(KeyError), progress("train", 10):
        raise KeyError
    assert notebook == [""]
