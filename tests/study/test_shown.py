import io
import struct

import numpy as np
import pytest
from PIL import Image

from mrgantry.common.errors import DataError
from mrgantry.study.cases.shown import png, shown, shuffled


def images_of(*values: float) -> np.ndarray:
    return np.array(values, np.float16).reshape(1, 1, 1, -1)


def chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Take a PNG file apart by its specification."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = [], 8
    while place < len(file):
        (length,) = struct.unpack(">I", file[place : place + 4])
        found.append((file[place + 4 : place + 8], file[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def test_shown_floors_and_rounds():
    got = shown(images_of(-1, -0.93, -0.92, -0.91, 0, 1, 1.5))
    assert got.tolist() == [[[0, 0, 0, 11, 128, 255, 255]]]
    assert got.dtype == np.uint8


def test_both_classes_lose_the_grey_values_under_the_floor():
    ramp = np.linspace(-1, 1, 60_000, dtype=np.float16).reshape(1, 1, 1, -1)
    assert sorted(np.unique(shown(ramp))) == [0, *range(10, 256)]


def test_channels_lie_side_by_side():
    two = np.stack([np.full((3, 2), -1.0), np.full((3, 2), 1.0)])[None].astype(np.float16)
    got = shown(two)
    assert got.shape == (1, 3, 4)
    assert got[0].tolist() == [[0, 0, 255, 255]] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad):
    images = np.zeros((3, 1, 2, 2), np.float16)
    images[1, 0, 1, 1] = bad
    with pytest.raises(DataError, match=r"1 of 3 images .* number 1"):
        shown(images)


def test_a_floor_outside_the_range_is_refused():
    with pytest.raises(DataError, match="floor is 5"):
        shown(images_of(0), floor=5)


@pytest.mark.parametrize(
    "size", [(16, 16), (64, 64), (128, 256), (256, 256), (240, 155), (512, 512)]
)
def test_a_files_length_tells_nothing_of_its_image(size):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, size, dtype=np.uint8)
    smooth = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8) // 2
    files = [png(image) for image in (noise, smooth, np.zeros(size, np.uint8))]
    assert len({len(file) for file in files}) == 1
    layouts = {tuple((name, len(data)) for name, data in chunks(file)) for file in files}
    assert len(layouts) == 1
    assert {name for name, _ in layouts.pop()} == {b"IHDR", b"IDAT", b"IEND"}


def test_a_file_holds_the_very_pixels():
    image = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), image)


def test_shuffled_pieces_are_the_same_pixels_elsewhere():
    image = np.random.default_rng(0).integers(0, 256, (18, 21), dtype=np.uint8)
    again = shuffled(image, 3)
    assert np.array_equal(np.sort(again, axis=None), np.sort(image, axis=None))
    assert not np.array_equal(again, image) and np.array_equal(again, shuffled(image, 3))
    assert np.array_equal(again[16:], image[16:]) and np.array_equal(again[:, 20:], image[:, 20:])
    pieces = {
        image[y : y + 4, x : x + 5].tobytes() for y in range(0, 16, 4) for x in range(0, 20, 5)
    }
    assert pieces == {
        again[y : y + 4, x : x + 5].tobytes() for y in range(0, 16, 4) for x in range(0, 20, 5)
    }
