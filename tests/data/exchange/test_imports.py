"""Out and in again: what comes back is what went out."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import blobs, write_nifti, write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data import ImportPlan, SlicePlan, SliceSet, export, import_slices, prepare
from mrgantry.data.exchange.export import placed_at_origin
from mrgantry.data.exchange.pictures import scale, to_square
from mrgantry.data.sections import from_text

STEP = {"png": 1 / 255, "png16": 1 / 65535, "tiff": 0, "npy": 0, "nifti": 0}
MM = ImportPlan(pixel_mm=1.0)


def grey(path, value=0, size=(16, 16), dtype=np.uint8):
    """Write a picture with one bright pixel, at row 2 and column 5."""
    array = np.full(size, value, dtype)
    array[2, 5] = np.iinfo(dtype).max
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def assert_same(back, went, step):
    pd.testing.assert_frame_equal(back.table, went.table)
    about, before = back.about, went.about
    for name in ("source", "synthetic", "channels", "size", "training_subjects"):
        assert getattr(about, name) == getattr(before, name)
    difference = np.abs(back.images.astype(float) - went.images.astype(float)).max()
    # The nearest grey is half a step of 2 / 255 off; float16 adds its own rounding.
    assert difference <= step + (2**-11 if step else 0)


@pytest.fixture
def two_channels(cohort, tmp_path) -> SliceSet:
    plan = SlicePlan(
        sequences=("t1", "flair"), combine="channels", slices="5:9", size=16, field_mm=40
    )
    return prepare(cohort, tmp_path / "two", plan, workers=1)


@pytest.mark.parametrize("format", STEP)
def test_real_slices_come_back_in_every_format(two_channels, cohort, tmp_path, format):
    one = prepare(cohort, tmp_path / "one", SlicePlan(slices="3:6", size=16), workers=1)
    for went, files in ((one, 30), (two_channels, 40 if format == "npy" else 80)):
        out = tmp_path / f"{went.name}-files"
        assert export(went.folder, out, format) == files
        back = import_slices(out, tmp_path / f"{went.name}-back")
        assert_same(back, went, STEP[format])
        assert back.about.notes.skipped == back.about.notes.assumed == ()


def test_whose_images_a_generator_has_seen(tmp_path):
    splits = ["train"] * 4 + ["test"] * 4
    real = write_slices(tmp_path / "real", blobs(8), [*"aabbccdd"], splits)
    export(real.folder, tmp_path / "files", "png")
    for name in ("slices.csv", "origin.json"):
        (tmp_path / "files" / name).unlink()
    plan = ImportPlan(pixel_mm=1.0, trained_on=str(real.folder))
    made = import_slices(tmp_path / "files", tmp_path / "made", plan)
    assert made.about.training_subjects == ("a", "b")
    assert f"--trained-on {real.folder}" in made.about.command
    told = plan.model_copy(update={"real": True, "subject": "(.)"})
    with pytest.raises(DataError, match="said of a generator, and these images are real"):
        import_slices(tmp_path / "files", tmp_path / "people", told)


@pytest.mark.parametrize("format", STEP)
@pytest.mark.parametrize("channels", [1, 2])
def test_synthetic_slices_come_back_in_every_format(tmp_path, format, channels):
    images = np.concatenate([blobs(12, seed=seed) for seed in range(channels)], axis=1)
    went = write_slices(tmp_path / "went", images, ["a"] * 12, [""] * 12, synthetic=True)
    export(went.folder, tmp_path / "files", format)
    assert_same(import_slices(tmp_path / "files", tmp_path / "back"), went, STEP[format])


def test_a_synthetic_set_of_simulated_scans_stays_so(tmp_path):
    went = write_slices(tmp_path / "went", blobs(3), ["a"] * 3, [""] * 3, synthetic=True)
    about = json.loads((went.folder / "about.json").read_text())
    about |= {"source": "simulated", "training_subjects": ["p1", "p2"]}
    (went.folder / "about.json").write_text(json.dumps(about))
    export(went.folder, tmp_path / "files", "nifti")
    back = import_slices(tmp_path / "files", tmp_path / "back")
    assert back.about.source == "simulated" and back.about.training_subjects == ("p1", "p2")
    # Even when only the files themselves are left.
    for name in ("slices.csv", "origin.json"):
        (tmp_path / "files" / name).unlink()
    alone = import_slices(tmp_path / "files", tmp_path / "alone")
    assert alone.about.source == "simulated"
    assert np.array_equal(alone.images, went.images)


@pytest.mark.parametrize("format", STEP)
def test_oblique_slices_come_back_even_those_that_are_mirrored(cohort, tmp_path, format):
    plan = SlicePlan(plane="oblique", poses=4, size=16, field_mm=30)
    went = prepare(cohort, tmp_path / "went", plan, workers=1)
    mirrored = went.table["affine"].map(lambda text: float(text.split()[0]) > 0)
    assert mirrored.any() and not mirrored.all()
    export(went.folder, tmp_path / "files", format)
    assert_same(import_slices(tmp_path / "files", tmp_path / "back"), went, STEP[format])


def test_one_split_is_exported(slices, tmp_path):
    assert export(slices.folder, tmp_path / "files", split="test") == 18
    back = import_slices(tmp_path / "files", tmp_path / "back")
    assert set(back.table["split"]) == {"test"}
    with pytest.raises(DataError, match="has no images in the split 'validation'"):
        export(slices.folder, tmp_path / "none", split="validation")


@pytest.mark.parametrize("axes", ["RAS", "PSR"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_marked_voxel_lies_at_its_millimetre(tmp_path, plane, axes):
    voxels = np.full((20, 24, 22), 10, np.float32)
    voxels[[0, -1]] = 0
    voxels[:, [0, -1]] = 0
    voxels[:, :, [0, -1]] = 0
    voxels[5, 13, 16] = 1000
    spacing = (1.0, 2.0, 1.5)
    write_nifti(tmp_path / "scans/p1/t1.nii.gz", voxels, axes, spacing)
    plan = SlicePlan(plane=plane, slices="0.0:1.0", size=64, percentiles=(0, 100))
    went = prepare(tmp_path / "scans", tmp_path / "slices", plan, workers=1)
    export(went.folder, tmp_path / "files", "nifti")
    brightest = []
    for path in (tmp_path / "files").glob("*.nii.gz"):
        image = nib.load(path)
        array = np.asarray(image.dataobj)
        place = np.unravel_index(array.argmax(), array.shape)
        assert image.header["descrip"].item() == b"real" and array.dtype == np.float32
        brightest.append((array.max(), tuple(image.affine @ [*place, 1])[:3]))
    assert max(brightest)[1] == pytest.approx((5.0, 26.0, 24.0), abs=0.7)
    # Only the files, turned by another program: they come back upright and in place.
    for name in ("slices.csv", "origin.json"):
        (tmp_path / "files" / name).unlink()
    for path in (tmp_path / "files").glob("*.nii.gz"):
        image = nib.load(path)
        turn = nib.orientations.axcodes2ornt("ASL")
        start = nib.orientations.io_orientation(image.affine)
        turned = image.as_reoriented(nib.orientations.ornt_transform(start, turn))
        nib.save(turned, path)
    back = import_slices(
        tmp_path / "files", tmp_path / "back", ImportPlan(real=True, subject="(p1)")
    )
    kept = back.table.set_index("id").loc[went.table["id"]]
    assert set(kept["plane"]) == {plane}
    rows = [list(back.table["id"]).index(name) for name in went.table["id"]]
    assert np.array_equal(back.images[rows], went.images)
    assert list(kept["pixel_mm"]) == pytest.approx(list(went.table["pixel_mm"]))
    assert list(kept["position_mm"]) == pytest.approx(list(went.table["position_mm"]), abs=0.01)


# What files there are


def test_pictures_of_all_kinds_give_the_same_image(tmp_path):
    dark, bright = 51, 204
    array = np.full((16, 16), dark, np.uint8)
    array[4:12, 4:12] = bright
    folder = tmp_path / "files"
    folder.mkdir()
    picture = Image.fromarray(array)
    picture.save(folder / "grey.png")
    picture.convert("RGB").save(folder / "rgb.PNG")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("LA").save(folder / "la.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("RGB").save(folder / "photo.jpg", quality=100, subsampling=0)
    picture.save(folder / "grey.tiff")
    Image.fromarray(array.astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(array.astype(np.uint16) * 257).save(folder / "deep2.tif")
    np.save(folder / "array.npy", array)
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("not an image")
    with pytest.raises(DataError, match="Two images have the id 'grey': .*png and .*tiff"):
        import_slices(folder, tmp_path / "no", MM)
    (folder / "grey.tiff").rename(folder / "grey2.tiff")
    made = import_slices(folder, tmp_path / "made", MM)
    assert len(made) == 10 and made.about.notes.skipped == ()
    expected = np.where(array == dark, -0.6, 0.6)
    assert np.abs(made.images[:, 0] - expected).max() < 0.02
    assert made.about.synthetic and set(made.table["made_by"]) == {"files"}
    assert set(made.table["source"]) == {"synthetic"} and set(made.table["tumour"]) == {"unknown"}
    assert made.about.channels == ("unknown",) and set(made.table["plane"]) == {"unknown"}
    assert set(made.table["subject"]) == set(made.table["split"]) == {""}


def test_stacks_of_images_in_one_file(tmp_path):
    images = blobs(5).astype(np.float32)
    (tmp_path / "files").mkdir()
    np.save(tmp_path / "files/all.npy", images[:, 0])
    made = import_slices(tmp_path / "files", tmp_path / "made", MM)
    assert np.array_equal(made.images, images.astype(np.float16))
    assert list(made.table["id"]) == [f"all_{k:05d}" for k in range(5)]
    assert list(made.table["index"]) == list(range(5))
    np.save(tmp_path / "files/all.npy", np.repeat(images, 2, axis=1))
    both = ImportPlan(pixel_mm=1, channel=("t1", "flair"))
    made = import_slices(tmp_path / "files", tmp_path / "both", both)
    assert made.images.shape == (5, 2, 16, 16) and made.about.channels == ("t1", "flair")


def test_more_images_than_a_part_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("mrgantry.data.exchange.imports.BLOCK", 3)
    (tmp_path / "files").mkdir()
    np.save(tmp_path / "files/a.npy", blobs(4)[:, 0])
    np.save(tmp_path / "files/b.npy", blobs(4, seed=1)[:, 0])
    made = import_slices(tmp_path / "files", tmp_path / "made", MM)
    assert made.about.rows == (3, 3, 2)
    assert np.array_equal(made.images, np.concatenate([blobs(4), blobs(4, seed=1)]))


def test_channels_are_joined_by_the_ends_of_names(tmp_path):
    for name in ("a_t1", "a_flair", "b_t1", "b_flair", "c_t1", "d"):
        grey(tmp_path / f"files/{name}.png", 0 if "t1" in name else 51)
    made = import_slices(
        tmp_path / "files", tmp_path / "made", ImportPlan(pixel_mm=1, channel=("t1", "flair"))
    )
    assert list(made.table["id"]) == ["a", "b"]
    assert set(made.table["sequence"]) == {"t1+flair"}
    assert made.images[0, :, 0, 0] == pytest.approx([-1, -0.6], abs=1e-3)
    assert made.about.notes.skipped == (
        f"{tmp_path / 'files/d.png'} was skipped: its name ends in neither _t1 nor _flair.",
        "c was skipped: it lacks its flair.",
    )
    grey(tmp_path / "files/b_flair.png", size=(16, 17))
    made = import_slices(
        tmp_path / "files", tmp_path / "one", ImportPlan(pixel_mm=1, channel=("t1", "flair"))
    )
    assert "not of the same size and type as b_t1.png" in made.about.notes.skipped[-1]


def test_some_channels_of_an_export_are_taken(two_channels, tmp_path):
    export(two_channels.folder, tmp_path / "files", "tiff")
    back = import_slices(tmp_path / "files", tmp_path / "back", ImportPlan(channel=("flair",)))
    assert back.about.channels == ("flair",)
    assert np.array_equal(back.images[:, 0], two_channels.images[:, 1])


@pytest.mark.parametrize(("axes", "turn"), [("RAS", 270), ("LPS", 90)])
def test_arrays_of_scans_are_turned_upright(tmp_path, axes, turn):
    voxels = np.random.default_rng(0).random((16, 16, 1), dtype=np.float32)
    path = write_nifti(tmp_path / "nifti/a.nii.gz", voxels, axes)
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy/a.npy", np.asarray(nib.load(path).dataobj)[:, :, 0])
    upright = import_slices(tmp_path / "nifti", tmp_path / "one")
    assert upright.images[0, 0, 0, 0] == pytest.approx(voxels[-1, -1, 0] * 2 - 1, abs=1e-3)
    plan = ImportPlan(pixel_mm=1, turn=turn, mirror=True)
    made = import_slices(tmp_path / "npy", tmp_path / "two", plan)
    assert np.array_equal(made.images, upright.images)
    with Image.open(tmp_path / "two/preview.png") as preview:
        assert preview.size == (16, 16)


# What values mean


@pytest.mark.parametrize(
    ("values", "rule", "corner"),
    [
        ([-0.5, 0.25], "floats and others: -1 to 1", -0.5),
        ([0.25, 1.0], "floats and others: 0 to 1", -0.5),
        ([10.0, 500.0], "each image by its own 0.5 and 99.5 percentiles", -1),
    ],
)
def test_what_floats_mean_shows_in_all_of_them(tmp_path, values, rule, corner):
    (tmp_path / "files").mkdir()
    for name, add in (("a", 0), ("b", values[1] - values[0])):
        array = np.full((16, 16), values[0] + add)
        array[5:9, 5:9] = values[1] - add / 2
        array[5, 5] = values[1] - add / 3
        np.save(tmp_path / f"files/{name}.npy", array)
    made = import_slices(tmp_path / "files", tmp_path / "made", MM)
    assert rule in made.about.notes.range
    assert made.images[0, 0, 0, 0] == corner


def test_a_named_range_and_percentiles(tmp_path):
    grey(tmp_path / "files/a.png", 50)
    made = import_slices(
        tmp_path / "files", tmp_path / "made", ImportPlan(pixel_mm=1, range="0:100")
    )
    assert made.images[0, 0, 0, 0] == 0 and made.images.max() == 1
    made = import_slices(
        tmp_path / "files", tmp_path / "own", ImportPlan(pixel_mm=1, range="percentiles")
    )
    assert made.images.min() == -1 and made.images[0, 0, 2, 5] == 1


def test_percentiles_leave_out_the_background_of_the_border():
    image = np.zeros((20, 20), np.float32)
    image[2:18, 2:18] = np.linspace(100, 200, 256).reshape(16, 16)
    image[10, 10] = 1e6
    scaled = scale(image[None, None], None)[0, 0]
    assert (scaled[image == 0] == -1).all()
    low, high = np.percentile(image[image > 0], (0.5, 99.5))
    assert scaled[5, 5] == pytest.approx((image[5, 5] - low) * 2 / (high - low) - 1, abs=1e-5)
    assert scaled[10, 10] == 1
    noisy = np.random.default_rng(0).normal(100, 10, (20, 20)).astype(np.float32)
    assert (scale(noisy[None, None], None) == -1).sum() < 5


def test_dark_16_bit_pictures_are_noted(tmp_path):
    path = grey(tmp_path / "files/a.png", 100, dtype=np.uint16)
    array = np.asarray(Image.open(path)).copy()
    array[2, 5] = 2131
    Image.fromarray(array).save(path)
    made = import_slices(tmp_path / "files", tmp_path / "made", MM)
    assert "brightest pixel is 2,131 of 65,535" in made.about.notes.assumed[0]
    assert made.about.notes.range == "16-bit pictures: 0 to 65535"


def test_sizes_are_padded_and_resized(tmp_path):
    grey(tmp_path / "files/a.png", 255, size=(16, 32))
    made = import_slices(tmp_path / "files", tmp_path / "made", ImportPlan(pixel_mm=1, size=16))
    image = made.images[0, 0]
    assert (image[:4] < -0.9)[:3].all() and (image[4:12] > 0.5).all()
    assert list(made.table["pixel_mm"]) == [2.0]
    assert made.about.notes.fit == "padded to a square and resized to 16"


def test_a_resized_export_has_a_resized_affine(cohort, tmp_path):
    went = prepare(cohort, tmp_path / "went", SlicePlan(slices="9:11", size=32), workers=1)
    export(went.folder, tmp_path / "files", "nifti")
    back = import_slices(tmp_path / "files", tmp_path / "back", ImportPlan(size=16))
    assert list(back.table["pixel_mm"]) == list(2 * went.table["pixel_mm"])
    large, small = (from_text(one.table["affine"][0]) for one in (went, back))
    assert small @ [-0.5, -0.5, 0, 1] == pytest.approx(large @ [-0.5, -0.5, 0, 1], abs=1e-4)
    assert small @ [15.5, 15.5, 0, 1] == pytest.approx(large @ [31.5, 31.5, 0, 1], abs=1e-4)
    halves = went.images.astype(np.float32).reshape(-1, 1, 16, 2, 16, 2).mean((3, 5))
    assert np.abs(back.images - halves).mean() < 0.05


def test_a_resized_slice_keeps_its_place():
    affine = np.diag([1.0, 2.0, 1, 1])
    images = np.full((1, 1, 20, 24), -1, np.float32)
    images[0, 0, 8:10, 10:14] = 1  # about 11.5 mm along, 17 mm down
    made, moved = to_square(images, affine, 20)
    weight = made[0, 0] + 1
    rows, columns = np.mgrid[:20, :20]
    centre = [(weight * place).sum() / weight.sum() for place in (columns, rows)]
    assert (affine @ moved @ [*centre, 0, 1])[:2] == pytest.approx([11.5, 17.0], abs=1e-4)
    sides = np.linalg.norm((affine @ moved)[:3, :2], axis=0)
    assert sides[0] == pytest.approx(sides[1])


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_synthetic_slice_lies_about_the_origin(plane):
    affine = placed_at_origin(plane, 2.0, 16)
    assert (affine @ [7.5, 7.5, 0, 1])[:3] == pytest.approx([0, 0, 0])
    corner = (affine @ [0, 0, 0, 1])[:3]  # right or anterior, and anterior or superior
    expected = {"axial": [15, 15, 0], "coronal": [15, 0, 15], "sagittal": [0, 15, 15]}
    assert list(corner) == expected[plane]


# Whose images they are


def test_subjects_of_folders_and_of_names(tmp_path):
    for person in range(10):
        for number in range(2):
            grey(tmp_path / f"folders/p{person}/{number}.png", person)
            grey(tmp_path / f"names/OAS1_{person:04d}_MR1_{number}.png", person)
    one = import_slices(tmp_path / "folders", tmp_path / "one", ImportPlan(pixel_mm=1, real=True))
    assert one.table.loc[0, ["id", "subject", "source"]].tolist() == ["p0_0", "p0", "real"]
    assert one.table.groupby("subject")["split"].nunique().max() == 1
    assert one.table["split"].value_counts().to_dict() == {"train": 12, "test": 6, "validation": 2}
    assert not one.about.synthetic and set(one.table["made_by"]) == {""}
    assert one.about.notes.assumed == ("subjects are the names of folders: p0, p1, p2, p3, p4",)
    plan = ImportPlan(pixel_mm=1, real=True, subject=r"(OAS1_\d+)_", splits=(0.5, 0.0, 0.5))
    two = import_slices(tmp_path / "names", tmp_path / "two", plan)
    assert two.table["subject"].nunique() == 10
    assert set(two.table["split"]) == {"train", "test"}
    assert r"--subject '(OAS1_\d+)_' --real --splits 0.5:0:0.5" in two.about.command
    grey(tmp_path / "names/other.png")
    two = import_slices(tmp_path / "names", tmp_path / "three", plan)
    assert two.about.notes.skipped == (
        r"other was skipped: --subject '(OAS1_\\d+)_' is not in it.",
    )


@pytest.mark.parametrize("name", ["a.png", "train/a.png", "p1/ses1/a.png"])
def test_real_images_of_nobody_are_refused(tmp_path, name):
    grey(tmp_path / "files" / name)
    with pytest.raises(DataError, match="not known whose image .* Say --subject .* --table"):
        import_slices(tmp_path / "files", tmp_path / "made", ImportPlan(pixel_mm=1, real=True))
    assert not (tmp_path / "made").exists()


def test_a_table_by_id_or_by_file(tmp_path):
    for name in "abc":
        grey(tmp_path / f"files/{name}.png")
    table = tmp_path / "rows.csv"
    table.write_text("id,subject,tumour,age\na,s1,yes,50\nb,s2,no,60\nx,s3,no,70\n")
    plan = ImportPlan(pixel_mm=1.5, real=True, table=str(table), sequence="t2", plane="coronal")
    made = import_slices(tmp_path / "files", tmp_path / "made", plan)
    assert list(made.table["tumour"]) == ["yes", "no"]
    assert set(made.table["sequence"]) == {"t2"} and set(made.table["plane"]) == {"coronal"}
    assert made.about.channels == ("t2",) and list(made.table["pixel_mm"]) == [1.5, 1.5]
    assert made.about.notes.assumed == (f"{table} has columns that are not used: age.",)
    assert made.about.notes.skipped == (f"{table} names x, of which there is no file.",)
    table.write_text("file,subject,split\na.png,s1,test\nb.png,s2,train\n")
    made = import_slices(tmp_path / "files", tmp_path / "by-file", plan)
    assert list(made.table["split"]) == ["test", "train"]
    assert made.about.notes.assumed == (f"{table} does not name c.png; left out.",)


# What is refused, and what is skipped


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name\na\n", "needs a column 'file', or 'id'"),
        ("id\na\na\n", "has the id 'a' twice"),
        ("id,tumour\na,perhaps\n", "Line 2 of .* 'tumour' holds 'perhaps'; it must be one of yes"),
        ("id,split\na,trian\n", "'split' holds 'trian'"),
        ("id,pixel_mm\na,x\n", "'pixel_mm' holds 'x'; a number is expected"),
        ("id,pixel_mm\na,-1\n", "a pixel of -1 mm cannot be"),
        ("id,index\na,1.5\n", "'index' holds '1.5'"),
        ("id,affine\na,1 2 3\n", "twelve numbers are expected"),
        ("id,source\na,real\nb,synthetic\n", "mixes real and synthetic"),
        ("id,source\na,synthetic\n", "--real is said of .* says 'synthetic'"),
        ("id,subject,split\na,s,train\nb,s,test\n", "Subject s .* stands in two splits"),
        ("id,subject,split\na,s,train\nb,t,\n", "gives b no split, but others"),
        ("id,subject\na,P 1\nb,P-1\n", "is too like another's"),
        ("", "is not a readable table"),
        ("id,subject\n", "can be used: the table has no rows"),
        ("file,subject\n", "can be used: the table has no rows"),
        ("id,subject\nx,s\n", "can be used: .* names x, of which there is no file"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, sentence):
    for name in "ab":
        grey(tmp_path / f"files/{name}.png")
    (tmp_path / "rows.csv").write_text(text)
    plan = ImportPlan(pixel_mm=1, real=True, table=str(tmp_path / "rows.csv"))
    with pytest.raises(DataError, match=sentence):
        import_slices(tmp_path / "files", tmp_path / "made", plan)
    assert not (tmp_path / "made").exists()


def _colour(path):
    array = np.zeros((16, 16, 3), np.uint8)
    array[3, 3, 0] = 200
    Image.fromarray(array).save(path.with_suffix(".png"))


def _transparent(path):
    Image.new("LA", (16, 16), (20, 100)).save(path.with_suffix(".png"))


def _corrupt(path):
    whole = grey(path.with_suffix(".png"), size=(64, 64)).read_bytes()
    path.with_suffix(".png").write_bytes(whole[:60])


def _empty(path):
    path.with_suffix(".jpg").write_bytes(b"")


def _pages(path):
    page = Image.new("L", (16, 16))
    page.save(path.with_suffix(".tif"), save_all=True, append_images=[page])


def _array(array):
    return lambda path: np.save(path.with_suffix(".npy"), array)


def _cut_array(path):
    np.save(path.with_suffix(".npy"), np.zeros((16, 16)))
    whole = path.with_suffix(".npy").read_bytes()
    path.with_suffix(".npy").write_bytes(whole[:-8])


def _volume(path):
    write_nifti(path.with_suffix(".nii.gz"), np.zeros((16, 16, 16), np.float32))


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (_colour, "it is in colour .* Save it in grey"),
        (_transparent, "it is partly transparent"),
        (_corrupt, "it is truncated or damaged"),
        (_empty, "it is truncated or damaged"),
        (_pages, "it holds 2 pages"),
        (_cut_array, "it is truncated or damaged"),
        (_array(np.full((16, 16), np.nan)), "it holds 256 pixels that are NaN or infinite"),
        (_array(np.full((16, 16), 1e20)), "it holds values up to 1e\\+20"),
        (_array(np.zeros((16, 16), complex)), "its values are of the type complex128"),
        (_array(np.array([None] * 3)), "it is truncated or damaged, or not of the format"),
        (_array(np.zeros(16)), "it has the shape 16; expected"),
        (_array(np.zeros((16, 16, 1))), "16 images of 16 x 1 pixels; arrays must be"),
        (_array(np.zeros((2, 3, 16, 16))), "it holds 3 channel.s., 1 expected; name each"),
        (_volume, "16 x 16 x 16; a slice is x x y or x x y x 1. Cut whole scans"),
    ],
)
def test_a_bad_file_is_skipped_and_the_others_go_on(tmp_path, write, sentence):
    grey(tmp_path / "files/good.png")
    write(tmp_path / "files/bad")
    made = import_slices(tmp_path / "files", tmp_path / "made", MM)
    assert list(made.table["id"]) == ["good"]
    (problem,) = made.about.notes.skipped
    assert problem.startswith(f"bad was skipped: {tmp_path / 'files'}/bad.")
    with pytest.raises(DataError, match=sentence):
        import_slices(tmp_path / "files", tmp_path / "strict", MM, strict=True)
    (tmp_path / "files/good.png").unlink()
    with pytest.raises(DataError, match=f"No image of .* can be used: bad was skipped.*{sentence}"):
        import_slices(tmp_path / "files", tmp_path / "none", MM)


def test_a_file_of_the_table_that_is_gone(slices, tmp_path):
    export(slices.folder, tmp_path / "files")
    (tmp_path / "files/s0-1.png").unlink()
    made = import_slices(tmp_path / "files", tmp_path / "made")
    assert len(made) == 47
    (problem,) = made.about.notes.skipped
    assert "s0-1.png was skipped" in problem and "slices.csv names it, but" in problem


def test_a_stack_with_another_number_of_rows(tmp_path):
    (tmp_path / "files").mkdir()
    np.save(tmp_path / "files/a.npy", blobs(3)[:, 0])
    (tmp_path / "files/slices.csv").write_text("file,id\na.npy,x\na.npy,y\n")
    with pytest.raises(DataError, match="holds 3 images, but .* has 2 row.s. for it"):
        import_slices(tmp_path / "files", tmp_path / "made", MM)


def test_sizes_that_differ_and_what_is_not_square(tmp_path):
    grey(tmp_path / "files/a.png")
    grey(tmp_path / "files/b.png")
    grey(tmp_path / "files/c.png", size=(20, 16))
    with pytest.raises(DataError, match="2 files are 16 x 16 pixels, c.png is 20 x 16.*--size 16"):
        import_slices(tmp_path / "files", tmp_path / "made", MM)
    for name in "ab":
        (tmp_path / f"files/{name}.png").unlink()
    with pytest.raises(DataError, match="are 20 x 16 pixels, but must be square; --size 20"):
        import_slices(tmp_path / "files", tmp_path / "made", MM)


def test_what_cannot_be_imported_at_all(slices, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no PNG, JPEG, TIFF, .npy or NIfTI files"):
        import_slices(tmp_path / "empty", tmp_path / "made")
    with pytest.raises(DataError, match="is a set of slices already"):
        import_slices(slices.folder, tmp_path / "made")
    grey(tmp_path / "files/a.png")
    with pytest.raises(DataError, match="does not tell how large its pixels are. Say --pixel-mm"):
        import_slices(tmp_path / "files", tmp_path / "made")
    with pytest.raises(DataError, match="choose another place"):
        import_slices(tmp_path / "files", tmp_path / "files/made", MM)
    with pytest.raises(DataError, match="say --real too"):
        import_slices(tmp_path / "files", tmp_path / "made", ImportPlan(pixel_mm=1, subject="(a)"))
    black = tmp_path / "black"
    black.mkdir()
    np.save(black / "a.npy", np.full((16, 16), 7.0))
    with pytest.raises(DataError, match="a was skipped: it has a single intensity everywhere"):
        import_slices(black, tmp_path / "made", MM)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"range": "1:0"}, "The range '1:0' is not understood"),
        ({"range": "all"}, "The range 'all' is not understood"),
        ({"subject": "OAS"}, "has no group"),
        ({"subject": "(OAS"}, "is no regular expression"),
        ({"sequence": "t1+t2"}, "is no name of a channel"),
        ({"channel": ("t1", "t1")}, "A channel is named twice"),
        ({"splits": (0.5, 0.1, 0.1)}, "sum to 1"),
        ({"plane": "axail"}, "'plane' of the import is 'axail'"),
        ({"szie": 3}, "Did you mean 'size'"),
    ],
)
def test_a_wrong_plan_is_refused(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        ImportPlan.of(change, "import")


def test_what_export_refuses(slices, tmp_path):
    with pytest.raises(DataError, match="Unknown format 'gif' .* Known: nifti, npy, png"):
        export(slices.folder, tmp_path / "out", "gif")
    export(slices.folder, tmp_path / "out")
    assert export(slices.folder, tmp_path / "out") == 48
    with pytest.raises(RunError, match="format was 'png', now 'tiff'"):
        export(slices.folder, tmp_path / "out", "tiff")
    with pytest.raises(RunError, match="is not empty and is not an export"):
        export(slices.folder, slices.folder)
    twins = write_slices(tmp_path / "twins", blobs(2), ["a b", "a-b"], ["train", "train"])
    table = twins.table.assign(id=["P 1", "p-1"])
    with pytest.raises(DataError, match="2 slices whose ids would give one file, such as 'P 1'"):
        export(_with_table(twins, table).folder, tmp_path / "twin-files")


def _with_table(made, table):
    """Write a set again with other rows."""
    from mrgantry.data.making import begin_set, finish
    from mrgantry.data.parts import write_part

    folder = made.folder.with_name(made.name + "-again")
    begin_set(folder, made.about.model_copy(update={"complete": False}))
    write_part(folder, "all", made.images, table)
    return finish(folder, made.about, ["all"])


def test_an_interrupted_export_is_not_imported(slices, tmp_path):
    export(slices.folder, tmp_path / "files")
    (tmp_path / "files/slices.csv").unlink()
    with pytest.raises(
        DataError, match="was interrupted. Run the same command again: mrgantry exp"
    ):
        import_slices(tmp_path / "files", tmp_path / "made")


def test_an_interrupted_import_goes_on(slices, tmp_path, monkeypatch):
    export(slices.folder, tmp_path / "files", "npy")
    from mrgantry.data.exchange import imports

    write, written = imports.write_part, []

    def stop_at_the_third(folder, name, pixels, table, maps):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        write(folder, name, pixels, table, maps)

    monkeypatch.setattr(imports, "write_part", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        import_slices(tmp_path / "files", tmp_path / "made")
    with pytest.raises(DataError, match="was interrupted .* mrgantry import"):
        SliceSet.open(tmp_path / "made")
    monkeypatch.setattr(
        imports, "write_part", lambda *words: (written.append(words[1]), write(*words))
    )
    made = import_slices(tmp_path / "files", tmp_path / "made")
    assert written == [f"s{number}" for number in range(8)]
    assert np.array_equal(made.images, slices.images)
    # A file that has changed since is taken afresh, and only its part; until it is in,
    # the set that was whole cannot be opened.
    np.save(tmp_path / "files/s3-18.npy", np.zeros((16, 16), np.float32))
    with monkeypatch.context() as kill, pytest.raises(KeyboardInterrupt):
        kill.setattr(imports, "write_part", stop_at_the_third)
        written[2:] = []
        import_slices(tmp_path / "files", tmp_path / "made")
    with pytest.raises(DataError, match="was interrupted"):
        SliceSet.open(tmp_path / "made")
    written[2:] = [f"s{number}" for number in range(2, 8)]
    again = import_slices(tmp_path / "files", tmp_path / "made")
    assert written[8:] == ["s3"] and (again.images[18] == 0).all()
    with pytest.raises(RunError, match="size was "):
        import_slices(tmp_path / "files", tmp_path / "made", ImportPlan(size=8))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_picture_is_the_way_up_that_its_exif_says(tmp_path, name):
    array = np.tile(np.linspace(0, 255, 16, dtype=np.uint8), (16, 1))  # brighter to the right
    exif = Image.Exif()
    exif[274] = 6  # stored on its side: turn it clockwise to show it
    (tmp_path / "in").mkdir()
    picture = Image.fromarray(array).transpose(Image.Transpose.ROTATE_90)
    picture.save(tmp_path / "in" / name, exif=exif, **({"quality": 97} if "jpg" in name else {}))
    made = import_slices(tmp_path / "in", tmp_path / "out", MM)
    shown = made.images[0, 0].astype(float)
    assert np.ptp(shown.mean(0)) > 1.5 and np.ptp(shown.mean(1)) < 0.1
    assert shown.mean(0)[-1] > shown.mean(0)[0]


def test_masks_beside_pictures_are_left_out_and_said(tmp_path):
    for name in ("20.png", "20_mask.png", "24.png", "24_seg.png", "roi_mask.png"):
        grey(tmp_path / "in/pat0" / name)
    made = import_slices(tmp_path / "in", tmp_path / "out", MM)
    assert list(made.table["id"]) == ["pat0_20", "pat0_24", "pat0_roi_mask"]
    (said,) = (text for text in made.about.notes.assumed if "masks" in text)
    assert said == (
        "Left out, as masks of others: 2 (pat0/20_mask.png, ...); --tumour-labels takes those that "
        "mark tumours."
    )


def test_a_table_from_a_german_excel(tmp_path):
    for name in ("s1.png", "s2.png"):
        grey(tmp_path / "in/pat0" / name)
    rows = "File;Subject;Tumour;pixel_mm\r\npat0\\s1.png;P0;ja;0,9375\r\npat0\\s2.png;P0;nein;1\r\n"
    (tmp_path / "table.csv").write_bytes(rows.encode("utf-8-sig"))
    plan = ImportPlan(table=str(tmp_path / "table.csv"), real=True, splits=(1, 0, 0))
    made = import_slices(tmp_path / "in", tmp_path / "out", plan)
    assert list(made.table["tumour"]) == ["yes", "no"]
    assert list(made.table["pixel_mm"]) == [0.9375, 1]
