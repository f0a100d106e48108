import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from mrgantry.common.errors import DataError
from mrgantry.study.cases import traits
from mrgantry.study.cases.cues import CueAudit, CueGroup, audit


def heads(seed: int, people: int, each: int = 1, size: int = 32):
    """Draw ellipses of noise; the images of one person have one shape, brightness and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    images, subjects = [], []
    for person in range(people):
        inside = (y / random.uniform(0.3, 0.42)) ** 2 + (x / random.uniform(0.3, 0.42)) ** 2 < 1
        level, noise, wave = random.normal(150, 15), random.uniform(5, 12), random.uniform(0, 6)
        for _ in range(each):
            grey = level + 20 * np.sin(20 * x + wave) + noise * random.standard_normal(x.shape)
            images.append(np.where(inside, grey, 0))
            subjects.append(f"s{person}")
    return np.rint(np.clip(images, 0, 255)).astype(np.uint8), subjects


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=30)
    return np.where(image > 0, np.maximum(np.asarray(Image.open(buffer)), 1), 0).astype(np.uint8)


def frame(image: np.ndarray) -> np.ndarray:
    return np.pad(image[2:-2, 2:-2], 2)


PLANTED = {  # what is done, the group that finds it, words that name it, its median
    "clipped": (lambda i: np.minimum(i, 150), "range", "the greatest grey value", 150),
    "even values": (lambda i: i // 2 * 2, "quantisation", "share of even values", 1),
    "smooth": (lambda i: gaussian_filter(i, 1), "compressibility", "compressed size", None),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cue_is_found_and_named(name):
    damage, group, words, value = PLANTED[name]
    images, subjects = heads(1, people=40)
    other = np.stack([damage(one).astype(np.uint8) for one in heads(2, people=40)[0]])
    found = {one.name: one for one in audit(images, other, subjects).groups}[group]
    assert found.beats_chance
    assert words in found.cue.trait
    assert value is None or found.cue.synthetic == value != found.cue.real


def test_a_background_of_3_is_named_loudly():
    images, subjects = heads(11, people=20)
    found = audit(images, np.maximum(heads(12, people=20)[0], 3), subjects)
    telling = {group.name: group.cue for group in found.groups if group.beats_chance}
    assert {"range", "border", "extent"} <= set(telling)
    assert telling["range"].trait == "the least grey value"
    assert (telling["range"].real, telling["range"].synthetic) == (0, 3)
    assert telling["extent"].trait == "the share of pixels that are exactly black"
    loud = found.sentences()
    assert loud[0].startswith("WARNING")
    assert any("corners is 0 in real images (0 to 0) and 3 in synthetic ones" in s for s in loud)
    assert "Readers could go by this and not by anatomy" in loud[-1]
    assert "generator itself" in loud[-1]


def test_a_black_frame_is_found_at_the_border():
    images, subjects = heads(3, people=40)
    other = heads(4, people=40)[0]
    tissue = np.uint8(40)  # these heads fill the whole canvas
    found = audit(images + tissue, np.stack([frame(one) for one in other + tissue]), subjects)
    border = next(group for group in found.groups if group.name == "border")
    assert border.beats_chance
    assert (border.cue.real, border.cue.synthetic) == (40, 0)
    told = "\n".join(found.sentences())
    assert "corners is 40 in real images (40 to 40) and 0 in synthetic ones" in told


def test_jpeg_is_found_among_the_traces_of_rounding():
    random = np.random.default_rng(5)
    noise = gaussian_filter(random.standard_normal((80, 64, 64)), (0, 1.5, 1.5)) * 100 + 128
    texture = np.clip(noise, 1, 255).astype(np.uint8)
    subjects = [f"s{number}" for number in range(40)]
    other = np.stack([jpeg(one) for one in texture[40:]])
    found = {group.name: group for group in audit(texture[:40], other, subjects).groups}
    cue = found["quantisation"].cue
    assert cue is not None
    assert cue.trait == "the step between blocks of 8 pixels, in steps inside them"
    assert cue.real < 1.1 < cue.synthetic
    assert not found["border"].beats_chance


def test_one_population_stays_at_chance():
    # Few people with many slices each: who counts slices raises a false alarm in most of these.
    alarms = 0
    for seed in range(4):
        images, subjects = heads(100 + seed, people=8, each=8)
        alarms += audit(images, heads(200 + seed, people=40)[0], subjects, seed).beats_chance
    assert alarms == 0


@pytest.mark.slow
@pytest.mark.parametrize(("people", "each", "others"), [(60, 1, 60), (20, 5, 100), (4, 10, 40)])
def test_false_alarms_keep_to_the_nominal_rate(people, each, others):
    alarms, covered = 0, []
    for seed in range(60):
        images, subjects = heads(1000 + seed, people, each)
        found = audit(images, heads(9000 + seed, others)[0], subjects, seed)
        alarms += found.beats_chance
        covered += [group.low <= 0.5 <= group.high for group in found.groups]
    assert alarms <= 7  # 5 % of 60 is 3; more than 7 has a probability of 1.4 %
    assert np.mean(covered) > 0.88


def test_images_without_any_difference_are_at_exactly_one_half():
    same = np.full((20, 16, 16), 7, np.uint8)
    found = audit(same, same, [str(number) for number in range(20)])
    assert {group.accuracy for group in found.groups} == {0.5}
    assert {group.p for group in found.groups} == {1.0}
    assert not found.beats_chance


def test_the_number_of_slices_a_subject_buys_no_certainty():
    images, subjects = heads(7, people=5, each=20)
    other = np.maximum(heads(8, people=100)[0], 3)
    border = audit(images, other, subjects).groups[3]
    # Wilson's interval of n of n begins at n / (n + z^2), here for 5 and 100, divided by 1.3.
    starts = [n / 1.3 / (n / 1.3 + 1.959964**2) for n in (5, 100)]
    assert border.low == pytest.approx(1 - np.hypot(1 - starts[0], 1 - starts[1]) / 2, abs=1e-6)


def test_traits_of_one_image_are_known():
    image = np.zeros((1, 16, 20), np.uint8)
    image[0, 3:9, 5:15] = 200
    image[0, 5, 7] = 0
    image[0, 0, 0] = 101
    found = {
        name: row[0] for group in traits.measure(image).values() for name, row in group.items()
    }
    assert found["the share of grey values 192 to 207"] == 59 / 320
    assert found["the least grey value"] == 0
    assert found["the greatest grey value"] == 200
    assert found["percentile 99 of the grey values"] == 200
    assert found["percentile 50 of the grey values"] == 0
    assert found["the share of even values among those above 0"] == 59 / 60
    assert found["the number of different grey values"] == 3
    unused = "the number of unused grey values between the darkest above 0 and the brightest"
    assert found[unused] == 98
    assert found["the mean grey value of the four corners"] == 101 / 4
    assert found["the mean grey value of the top row"] == 101 / 20
    assert found["the greatest grey value of the outermost rows and columns"] == 101
    assert found["the share of pixels that are exactly black"] == pytest.approx(260 / 320)
    assert found["the number of black pixels between brighter ones on all four sides"] == 1
    assert found["the number of black rows at the bottom"] == 7
    assert found["the number of black columns at the right"] == 5
    assert found["the width in pixels of what is not black"] == 15


def test_a_black_image_has_traits_too():
    found = traits.measure(np.zeros((1, 16, 16), np.uint8))
    assert found["extent"]["the height in pixels of what is not black"] == 0
    assert all(np.isfinite(row).all() for group in found.values() for row in group.values())


def test_an_audit_survives_json_and_says_what_it_could_miss():
    images, subjects = heads(9, people=20)
    found = audit(images, heads(10, people=20)[0], subjects)
    assert CueAudit.of(json.loads(json.dumps(found.model_dump())), "audit") == found
    assert found == audit(images, heads(10, people=20)[0], subjects)
    calm = found.sentences()
    assert calm[0].startswith("Trivial cues alone do not tell 20 real images of 20 subjects")
    # 0.5 + 2.690 (0.05 / 7, two-sided) standard errors of sqrt(1.3 (1/20 + 1/20) / 16)
    assert "below 74 %" in calm[1]


def test_worse_than_chance_is_no_alarm():
    group = CueGroup(name="all", accuracy=0.2, low=0.1, high=0.3, p=0.001)
    assert not group.beats_chance


@pytest.mark.parametrize(
    ("real", "synthetic", "subjects", "words"),
    [
        ((4, 16, 16), (4, 32, 32), "abcd", "16 x 16 pixels and synthetic ones on 32 x 32"),
        ((4, 8, 8), (4, 8, 8), "abcd", "under 16 pixels"),
        ((4, 16, 16), (4, 16, 16), "abc", "4 real images but 3 names"),
        ((4, 16, 16), (4, 16, 16), "aaaa", "there are 1 and 4"),
        ((4, 16, 16), (1, 16, 16), "abcd", "there are 4 and 1"),
    ],
)
def test_what_cannot_be_audited_is_refused(real, synthetic, subjects, words):
    with pytest.raises(DataError, match=words):
        audit(np.zeros(real, np.uint8), np.zeros(synthetic, np.uint8), list(subjects))
