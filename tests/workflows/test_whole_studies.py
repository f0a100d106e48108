"""Whole studies at smoke scale, as a user runs them; slow."""

import html
import re
import signal
import subprocess
import sys
import time

import pytest

from mrgantry.data.slices import SliceSet
from mrgantry.workflows.work import Work, complete
from verbs import smoke


def run(name, out):
    words = [sys.executable, "-m", "mrgantry", "reproduce", name, str(out), "--scale", "smoke"]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def text_of(page, folder):
    """Give a page without what may differ: times, and its own folder."""
    text = re.sub(r'<td class="ours timed".*?</td>', "", page.read_text(), flags=re.DOTALL)
    return text.replace(str(folder), "OUT")


def failures(out):
    """List the steps that left a reason in place of a result."""
    return [*map(str, out.rglob("*-not-made.json")), *map(str, out.rglob("*-failed.json"))]


def empty_cells(page):
    """List the rows in which a cell of this run holds no value; readers are still to come."""
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    return [row for row in rows if re.search(r'<td(?: class="(?:n )?ours")?>\s*–\s*</td>', row)]


def finish(name, out):
    """Run a study to its end, and see that all of it is there."""
    process = run(name, out)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "Traceback" not in said and "Open " in said
    page = (out / "report.html").read_text()
    study = smoke(name)
    assert "Simulated data." in page and study.scale_of("smoke").limits in html.unescape(page)
    for _, model in study.models():
        assert f">{model.label}</a>" in page
    assert 'src="http' not in page
    for link in set(re.findall(r'href="([^"#]+)"', page)):
        assert (out / link).is_file()
    assert not failures(out)
    if study.reading:
        assert (out / "study/study.json").is_file() and "not read yet" in page
    assert (out / "detection/detection.json").is_file() == bool(study.detection)
    assert not empty_cells(page)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["han2018", "delplace2020"])
def test_a_whole_study_at_smoke_scale(name, tmp_path):
    finish(name, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_again_and_again_it_gives_the_same_page(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    finish("kazuhiro2018", whole)
    for sign in ("cohort/*/*/subject.json", "t1/runs/dcgan/state.pt", "t1/scores/pictures.npz"):
        process = run("kazuhiro2018", parts)
        while process.poll() is None and not list(parts.glob(sign)):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish("kazuhiro2018", parts)
    assert text_of(parts / "report.html", parts) == text_of(whole / "report.html", whole)


def kill_when(out, begun):
    """Run han2018-pggan and kill it as soon as something is so."""
    process = run("han2018-pggan", out)
    while process.poll() is None and not begun():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_while_selecting_and_detecting_it_is_complete_in_the_end(tmp_path):
    out = tmp_path / "out"
    work = Work(smoke("han2018-pggan"), out, None)
    (one,) = work.study.image_types
    first, second = one.models

    def decided(model):  # networks so small may have no plausible image: that is noted
        return complete(work.selected(one, model)) or work.rejected(one, model).is_file()

    kill_when(out, lambda: decided(first))
    assert not decided(second)
    kill_when(out, lambda: any(out.glob("detection/parts/*.json")))
    parts = {path: path.read_bytes() for path in out.glob("detection/parts/*.json")}
    assert not (out / "detection/detection.json").is_file()
    finish("han2018-pggan", out)
    assert all(path.read_bytes() == before for path, before in parts.items())
    for model in one.models:
        assert decided(model)
        assert len(SliceSet.open(work.synthetic(one, model))) == work.study.samples
    asked = work.study.detection
    assert len(list(out.glob("detection/parts/*.json"))) == 4 * asked.seeds * len(asked.ratios)
