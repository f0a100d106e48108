"""Folders of pictures as collections have them: classes, people, masks, and what is bad."""

from pathlib import PurePath

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import blobs
from mrgantry.cli import app
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.picture import to_grey
from mrgantry.data import ImportPlan, export, import_slices
from mrgantry.data.exchange.folders import class_of, label_of, person_in
from mrgantry.data.fitness import mismatches

THREE = ("t1", "flair", "t1c")
UNKNOWN = ImportPlan(pixel_mm="unknown")


def picture(path, seed=0, **how):
    """Write a picture of its own."""
    array = to_grey(blobs(1, seed=seed)[0, 0])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **how)
    return path


def coloured(path, seed=0):
    """Write three sequences as red, green and blue."""
    array = np.stack([to_grey(blobs(1, seed=seed + k)[0, 0]) for k in range(3)], axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def mask(path, pixels):
    array = np.zeros((16, 16), np.uint8)
    array.flat[:pixels] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def tumours(made):
    return dict(zip(made.table["id"], made.table["tumour"], strict=True))


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("tumor", "yes"),
        ("notumor", "no"),
        ("no_tumor", "no"),
        ("non-tumour", "no"),
        ("Brain Tumor", "yes"),
        ("Healthy", "no"),
        ("glioma_tumor", "yes"),
        ("Glioma T1C+", "yes"),
        ("pituitary", "yes"),
        ("MildDemented", "unknown"),
        ("Non Demented", "unknown"),
        ("HGG", "unknown"),
        ("p1", None),
        ("glioma_01", None),
        ("control-7", None),
        ("Norman", None),
    ],
)
def test_words_that_name_a_class(folder, told):
    assert class_of(folder) == told


@pytest.mark.parametrize(
    ("path", "label", "person"),
    [
        ("yes/a.png", "yes", ("", "")),
        ("all/yes/a.png", "yes", ("", "")),
        ("yes/images/a.png", "yes", ("", "")),
        ("no/p1/a.png", "no", ("p1", "")),
        ("yes/p1/a.png", "unknown", ("p1", "")),  # not each of a patient's slices shows it
        ("train/p1/a.png", "unknown", ("p1", "")),
        ("p1/a.png", "unknown", ("p1", "")),
        ("p1_20190131/a.png", "unknown", ("p1", "20190131")),
        ("p1/ses1/a.png", "unknown", ("", "")),
        ("all/TCGA_CS_4941_19960909/a.tif", "unknown", ("TCGA_CS_4941", "19960909")),
        ("other/TCGA_CS_4941_19960909/a.tif", "unknown", ("", "")),
    ],
)
def test_what_a_path_tells(path, label, person):
    assert label_of(PurePath(path))[1] == label
    assert person_in(PurePath(path), ["all"]) == person


def test_folders_of_classes_are_labels_not_people(tmp_path):
    for number in range(6):
        picture(tmp_path / f"in/brain_tumor_dataset/yes/Y{number}.jpg", number)
        picture(tmp_path / f"in/brain_tumor_dataset/no/{number} no.jpeg", 100 + number)
    plan = ImportPlan(pixel_mm="unknown", real=True)
    with pytest.raises(DataError, match="The folder no is a class, which tells a label and no per"):
        import_slices(tmp_path / "in", tmp_path / "out", plan)
    plan = plan.model_copy(update={"subject": "([^/]+)[.]"})  # as that sentence advises
    made = import_slices(tmp_path / "in", tmp_path / "out", plan)
    assert made.table["subject"].nunique() == len(made) == 12
    assert {"Y0", "5 no"} <= set(made.table["subject"])
    is_yes = made.table["id"].str.contains("_yes_")
    assert list(made.table["tumour"]) == list(np.where(is_yes, "yes", "no"))
    assert "not people: no (no tumour), yes (tumour)." in " ".join(made.about.notes.assumed)


def test_classes_label_synthetic_images_and_a_table_overrules_them(tmp_path):
    for name in ("Training/glioma/a.jpg", "Testing/notumor/b.jpg", "Testing/AD/c.jpg"):
        picture(tmp_path / "in" / name)
    made = import_slices(tmp_path / "in", tmp_path / "out", UNKNOWN)
    assert tumours(made) == {
        "Testing_AD_c": "unknown",
        "Testing_notumor_b": "no",
        "Training_glioma_a": "yes",
    }
    table = tmp_path / "table.csv"
    table.write_text("id,tumour\nTraining_glioma_a,unclear\nTesting_notumor_b,\n")
    plan = ImportPlan(pixel_mm=1, table=str(table))
    made = import_slices(tmp_path / "in", tmp_path / "told", plan)
    assert tumours(made) == {"Testing_notumor_b": "no", "Training_glioma_a": "unclear"}


def test_kaggle_lgg(tmp_path):
    """People by folder, their visits by date, three sequences as colours, masks of tumours."""
    visits = ("TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405", "TCGA_DU_5849_19960405")
    for number, visit in enumerate(visits):
        for level, marked in enumerate((0, 10, 60), start=1):
            coloured(tmp_path / f"in/kaggle_3m/{visit}/{visit}_{level}.tif", 10 * number + level)
            mask(tmp_path / f"in/kaggle_3m/{visit}/{visit}_{level}_mask.tif", marked)
    (tmp_path / "in/kaggle_3m/data.csv").write_text("Patient,age\nTCGA_CS_4941,50\n")
    plan = ImportPlan(pixel_mm=1, real=True)
    with pytest.raises(DataError, match="9 were skipped .* --channel t1 --channel flair --chan"):
        import_slices(tmp_path / "in", tmp_path / "out", plan)
    plan = plan.model_copy(update={"channel": THREE})
    made = import_slices(tmp_path / "in", tmp_path / "out", plan)
    assert made.about.channels == THREE and made.images.shape == (9, 3, 16, 16)
    people = made.table[["subject", "session"]].drop_duplicates()
    assert people.to_numpy().tolist() == [visit.rsplit("_", 1) for visit in visits]
    assert list(made.table["tumour"]) == ["no", "unclear", "yes"] * 3
    assert list(made.table["tumour_mm2"]) == [0, 10, 60] * 3
    stored = np.asarray(Image.open(tmp_path / f"in/kaggle_3m/{visits[0]}/{visits[0]}_2.tif"))
    there = (made.images[1].transpose(1, 2, 0).astype(float) + 1) * 127.5
    assert np.abs(there - stored).max() < 0.1
    plan = plan.model_copy(update={"pixel_mm": "unknown"})
    made = import_slices(tmp_path / "in/kaggle_3m", tmp_path / "other", plan)
    assert list(made.table["tumour"]) == ["no", "yes", "yes"] * 3
    assert made.table["tumour_mm2"].isna().all()
    assert "any marked pixel makes a tumour slice" in " ".join(made.about.notes.assumed)


def test_masks_are_labels_where_their_names_or_the_user_say_so(tmp_path):
    for number, marked in enumerate((0, 60)):
        picture(tmp_path / f"in/p1/{number}.png", number)
        mask(tmp_path / f"in/p1/{number}_tumor_mask.png", marked)
        picture(tmp_path / f"in/p2/{number}.png", number + 5)
        mask(tmp_path / f"in/p2/{number}_gt.png", marked)
    plan = ImportPlan(pixel_mm=1, tumour_labels="*_gt.png")
    made = import_slices(tmp_path / "in", tmp_path / "out", plan)
    assert tumours(made) == {"p1_0": "unknown", "p1_1": "unknown", "p2_0": "no", "p2_1": "yes"}
    for number in range(2):
        (tmp_path / f"in/p2/{number}_gt.png").unlink()
    made = import_slices(tmp_path / "in", tmp_path / "named", ImportPlan(pixel_mm=1))
    assert tumours(made) == {"p1_0": "no", "p1_1": "yes", "p2_0": "unknown", "p2_1": "unknown"}
    mask(tmp_path / "in/p1/1_tumor_mask.png", 60)
    Image.new("L", (20, 20)).save(tmp_path / "in/p1/1_tumor_mask.png")
    made = import_slices(tmp_path / "in", tmp_path / "size", ImportPlan(pixel_mm=1))
    assert "1_tumor_mask.png: it is not of the size of the pict" in made.about.notes.skipped[0]
    assert len(made) == 3


def test_masks_in_a_folder_of_their_own(tmp_path):
    for number in range(3):
        picture(tmp_path / f"in/images/{number}.png", number)
        mask(tmp_path / f"in/masks/{number}.png", 60)
    made = import_slices(tmp_path / "in", tmp_path / "out", ImportPlan(pixel_mm=1))
    assert len(made) == 3 and "masks of others: 3 (masks/0.png" in made.about.notes.assumed[0]
    plan = ImportPlan(pixel_mm=1, tumour_labels="*.png")
    assert set(import_slices(tmp_path / "in", tmp_path / "2", plan).table["tumour"]) == {"yes"}


@pytest.mark.parametrize(("apart", "taken"), [(8, True), (9, False)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_near_grey_is_grey(tmp_path, apart, taken, ending):
    array = np.repeat(to_grey(blobs(1)[0, 0])[..., None] // 2, 3, axis=2)
    array[3, 4, 2] += apart
    (tmp_path / "in").mkdir()
    Image.fromarray(array).save(tmp_path / f"in/a.{ending}")
    picture(tmp_path / "in/b.png")
    made = import_slices(tmp_path / "in", tmp_path / "out", UNKNOWN)
    assert len(made) == 1 + taken
    if not taken:
        assert "it is in colour (its red, green and blue differ)" in made.about.notes.skipped[0]


def test_what_is_bad_is_told_in_one_summary(tmp_path):
    for number in range(20):
        coloured(tmp_path / f"in/p1/colour{number:02d}.png")
        damaged = tmp_path / f"in/p1/damaged{number:02d}.jpg"
        damaged.write_bytes(b"\xff\xd8" + b"x" * number)
    picture(tmp_path / "in/p1/good.png")
    words = ["import", tmp_path / "in", tmp_path / "out", "--real", "--pixel-mm", "unknown"]
    said = CliRunner().invoke(app, list(map(str, words))).output
    lines = [line for line in said.splitlines() if line.startswith("Skipped: ")]
    assert len(lines) == 2
    assert "20 were skipped (p1_colour00, p1_colour01, p1_colour02, ...), the first" in lines[0]
    assert "20 were skipped (p1_damaged00, p1_damaged01, p1_damaged02, ...), the" in lines[1]
    table = pd.read_csv(tmp_path / "out/skipped.csv")
    assert len(table) == 40 and table.loc[20, "image"] == "p1_damaged00"
    for number in range(20):
        for name in (f"colour{number:02d}.png", f"damaged{number:02d}.jpg"):
            (tmp_path / "in/p1" / name).unlink()
    import_slices(tmp_path / "in", tmp_path / "out", ImportPlan(pixel_mm="unknown", real=True))
    assert not (tmp_path / "out/skipped.csv").exists()


def test_all_that_is_not_known_is_told_at_once(tmp_path):
    picture(tmp_path / "in/yes/a.png")
    Image.new("L", (20, 30)).save(tmp_path / "in/yes/b.png")
    coloured(tmp_path / "in/yes/c.png")
    with pytest.raises(DataError) as caught:
        import_slices(tmp_path / "in", tmp_path / "out", ImportPlan(real=True))
    for sentence in ("differ in size", "or --pixel-mm unknown", "not known whose", "c was skipped"):
        assert sentence in str(caught.value)


def test_pixels_of_unknown_size(tmp_path):
    for number in range(4):
        picture(tmp_path / f"in/{number}.png", number)
    made = import_slices(tmp_path / "in", tmp_path / "out", UNKNOWN)
    assert set(made.table["pixel_mm"]) == {0} and "--pixel-mm unknown" in made.about.command
    known = import_slices(tmp_path / "in", tmp_path / "known", ImportPlan(pixel_mm=1))
    assert any("not known how large pixels are" in said for said in mismatches(known, made))
    assert not any("pixels" in said for said in mismatches(known, known))
    with pytest.raises(DataError, match="NIfTI must say it; choose another format"):
        export(made.folder, tmp_path / "nifti", "nifti")
    export(made.folder, tmp_path / "png")
    back = import_slices(tmp_path / "png", tmp_path / "back")
    assert set(back.table["pixel_mm"]) == {0}
    assert ImportPlan.of({"pixel_mm": "0.94"}, "import").side == 0.94
    with pytest.raises(RecipeError, match="takes a number of mm, as 0.94, or unknown; not 'big'"):
        ImportPlan.of({"pixel_mm": "big"}, "import")
