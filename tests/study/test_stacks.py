"""Whole heads in a reader study: laid out, drawn, scrolled through, answered and scored."""

import numpy as np
import pytest

from browsing import Sitting, served
from conftest import brain_phantom, write_nifti, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import Generated, SlicePlan, prepare
from mrgantry.pages.study import write_study
from mrgantry.papers import find_protocol
from mrgantry.study.cases.create import audited, create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.cases.shown import Stack, shown_heads
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.readings import read_key
from mrgantry.study.statistics.score import score
from mrgantry.study.study import Reader
from reading import Made
from reading import Reader as ReaderAt

VOXELS = (16, 24, 20)  # from right to left, front to back, bottom to top
PLAN = SlicePlan(plane="volume", voxels=VOXELS, voxel_mm=1.5, splits=(0.25, 0, 0.75))
HEADS = Protocol(name="heads", volumes=True, cases=4, attention_checks=1)


@pytest.fixture
def sources(tmp_path):
    """Eight people, and eight heads of another program, which are turned upside down."""
    for name, turn in (("people", 1), ("theirs", -1)):
        for number in range(8):
            voxels = brain_phantom(number)[:, :, ::turn]
            write_nifti(tmp_path / name / f"{name}{number}/{name}{number}_t1.nii.gz", voxels)
    prepare(tmp_path / "people", tmp_path / "real", PLAN)
    generated = Generated.of_others(tmp_path / "theirs")
    prepare(tmp_path / "theirs", tmp_path / "made", PLAN, generated=generated)
    return Sources("T1", tmp_path / "real", (tmp_path / "made",))


def test_every_slice_of_a_head_stands_in_its_square():
    depth, height, width = 3, 5, 4
    head = np.full((1, 2, depth, height, width), -1.0, np.float16)
    head[0, 1, 2, 1, 3] = 1  # of the second channel: top, near the front, far left
    picture = shown_heads(head)[0]
    stack = Stack(side=5, slices=(depth, height, width), channels=2)
    assert picture.shape == (5 * 5, 2 * 3 * 5)
    assert stack.canvas == (10, 15)
    lit = {tuple(place) for place in np.argwhere(picture == 255)}
    # Squares of 5, of the second channel: columns 3 (axial), 4 (coronal), 5 (sagittal).
    assert lit == {
        (2 * 5 + 1, 3 * 5 + 3),  # axial slice 2 of 3; row 1, column 3
        (3 * 5 + 1, 4 * 5 + 3),  # coronal slice 3 from the back; top row (1 of 3 in 5), column 3
        (3 * 5 + 1, 5 * 5 + 1),  # sagittal slice 3 from the right; top row, front (nose left)
    }
    middle = stack.middle(picture[None])[0]
    assert middle.shape == (5, 30)


def test_a_layout_follows_from_the_set(sources):
    study = create(sources.real.parent / "study", HEADS, [sources], [Reader(name="A")])
    assert study.about.stack == Stack(side=24, slices=(20, 24, 16), channels=1)
    assert any("traits" in line or "cues" in line for line in audited(study))


def test_slices_are_no_heads_and_heads_no_slices(sources, tmp_path):
    images = np.zeros((8, 1, 16, 16), np.float16)
    names = [f"p{row}" for row in range(8)]
    write_slices(tmp_path / "slices", images, names, ["test"] * 8)
    flat = Sources("T1", tmp_path / "slices", sources.synthetic)
    with pytest.raises(DataError, match=r"shows whole heads.*--plane volume"):
        create(tmp_path / "study", HEADS, [flat], [Reader(name="A")])
    single = HEADS.model_copy(update={"volumes": False})
    with pytest.raises(DataError, match="holds whole heads"):
        create(tmp_path / "study", single, [sources], [Reader(name="A")])
    with pytest.raises(RecipeError, match="do not fit side by side"):
        HEADS.set(["pairs=true"])
    assert find_protocol("volume").volumes


def test_from_two_cohorts_to_a_page(sources, tmp_path):
    study = create(tmp_path / "study", HEADS, [sources], [Reader(name="sees")])
    key = read_key(study)
    truths = dict(zip(key["case"], key["truth"], strict=True))
    store = study.store()
    with store.reading() as connection:
        cases = dict(connection.exec_driver_sql("SELECT id, case_id FROM trials").all())
    lines = (tmp_path / "study/links.csv").read_text().splitlines()[1:]
    tokens = {line.split(",")[0]: line.partition("#")[2] for line in lines}
    made = Made(study, store, tokens, {}, {})
    reader = ReaderAt(made, made.client(), "sees").start()
    page = reader.get("/").text
    assert "data-stack=" in page or "Welcome" in page
    while (told := reader.get("/next").json())["page"] != "thanks":
        if told["page"] != "reading":
            reader.begin()
            continue
        trial = reader.show()
        reader.answer(trial, truths[cases[trial]])
    scored = score(tmp_path / "study", tmp_path / "scored", draws=20)
    assert scored.analysis.readings[0].accuracy.value == 1.0
    assert {picture.shape for picture in scored.pictures.values()} == {(24 * 24, 3 * 24)}
    write_study(
        tmp_path / "scored",
        scored.study,
        scored.answers,
        scored.analysis,
        pictures=scored.pictures,
    )
    page = (tmp_path / "scored/study.html").read_text()
    assert "Each image was a whole head" in page


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_head_is_scrolled_through_by_keys_wheel_and_sliders(sources, tmp_path, chromium):
    sync_api = pytest.importorskip("playwright.sync_api")
    protocol = HEADS.set(["attention_checks=0", "cases=2"])
    study = create(tmp_path / "study", protocol, [sources], [Reader(name="AB")], kind="teaching")
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=2)
        sitting.begin()
        sitting.go_on("Now it counts")
        page = sitting.page
        page.locator("#stage canvas").first.wait_for()
        assert page.locator("#stage canvas").count() == 3
        pixels = """(pane) => [...document.querySelectorAll("#stage canvas")[pane]
          .getContext("2d").getImageData(0, 0, 24, 24).data].join()"""
        slider = page.locator("#slices-0")

        def at():
            return [int(page.locator(f"#slices-{plane}").input_value()) for plane in range(3)]

        assert at() == [10, 12, 8]  # the middle of each plane
        before = [page.evaluate(pixels, pane) for pane in range(3)]
        sitting.press("ArrowUp", "ArrowUp", "ArrowDown", "PageUp")
        assert at() == [16, 12, 8]
        after = [page.evaluate(pixels, pane) for pane in range(3)]
        assert after[0] != before[0] and after[1:] == before[1:]
        sitting.press("ArrowRight", "ArrowDown")  # the coronal pane
        assert at() == [16, 11, 8]
        box = page.locator("#stage canvas").nth(2).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, -60)
        sync_api.expect(page.locator("#slices-2")).not_to_have_value("8")
        slider.focus()
        sitting.press("Home")
        assert at()[0] == 0
        sitting.press("Tab")  # away from the slider: keys are answers again
        page.wait_for_timeout(600)
        sitting.press("1")
        page.locator("#feedback-say").wait_for()
        sitting.press("Enter")
        sync_api.expect(slider).to_have_value("10")  # the next head
        assert not sitting.problems
