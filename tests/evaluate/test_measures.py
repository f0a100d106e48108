import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from conftest import blobs
from mrgantry.common.errors import DataError
from mrgantry.common.score import interval
from mrgantry.evaluate import delplace
from mrgantry.evaluate.c2st import c2st_cnn, c2st_logistic
from mrgantry.evaluate.cloud import Cloud, draws, half_of_subjects
from mrgantry.evaluate.features import fit_directions, flat, principal_components, random_network
from mrgantry.evaluate.frechet import frechet_distance
from mrgantry.evaluate.ms_ssim import ms_ssim, scales, similarity_of_pairs
from mrgantry.evaluate.neighbours import nearest


def cloud(count=80, seed=0, shift=0.0, people=16):
    images = np.clip(blobs(count, seed=seed) + np.float16(shift), -1, 1)
    features = {"flat": flat(images).astype(np.float64)[:, ::8]}
    return Cloud(images, np.array([f"s{i % people}" for i in range(count)]), features)


# --- Frechet distance -----------------------------------------------------------------


def whitened(count, dims, seed):
    """Draw rows whose sample mean is exactly 0 and covariance exactly 1."""
    rows = np.random.default_rng(seed).standard_normal((count, dims))
    rows -= rows.mean(0)
    return rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T


def test_frechet_of_two_gaussians_in_closed_form():
    x = whitened(500, 6, 0)
    y = whitened(500, 6, 1) * np.arange(1, 7) + 3
    expected = 6 * 9 + ((np.arange(1, 7) - 1) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_of_fewer_rows_than_dimensions_is_real():
    random = np.random.default_rng(0)
    value = frechet_distance(random.standard_normal((10, 50)), random.standard_normal((12, 50)))
    assert value > 0


def test_frechet_needs_two_rows():
    with pytest.raises(DataError, match="not 1 and 5"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))


# --- MS-SSIM --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128, 256])
def test_ms_ssim_agrees_with_torchmetrics(size):
    random = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, size, size, generator=random) * 2 - 1
    y = (x + 0.5 * torch.randn(x.shape, generator=random)).clamp(-1, 1)
    weights = np.array((0.0448, 0.2856, 0.3001, 0.2363, 0.1333))[: scales(size)]
    theirs = multiscale_structural_similarity_index_measure(
        x,
        y,
        data_range=2.0,
        betas=tuple((weights / weights.sum()).tolist()),
        kernel_size=11,
        sigma=1.5,
        reduction="none",
        normalize="relu",
    )
    torch.testing.assert_close(ms_ssim(x, y), theirs.float(), atol=1e-4, rtol=0)


def test_equal_images_are_wholly_similar():
    images = torch.from_numpy(blobs(4, 64)).float()
    torch.testing.assert_close(ms_ssim(images, images), torch.ones(4))


def test_scales_by_size():
    assert [scales(size) for size in (16, 32, 64, 128, 256, 512)] == [1, 2, 3, 4, 5, 5]


def test_pairs_of_one_image_are_alike_and_of_many_are_not():
    many = blobs(60, 64)
    one = np.repeat(many[:1], 60, 0)
    people = np.array([str(i) for i in range(60)])
    assert similarity_of_pairs(one, people, 50, 0) == pytest.approx(1)
    assert similarity_of_pairs(many, people, 50, 0) < 0.9


# --- Delplace -------------------------------------------------------------------------


def test_realism_by_hand():
    directions = np.eye(4)[:2]
    rows = np.array([[3.0, 4.0, 100.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    assert delplace.realism_formula(rows, directions) == 2.5  # (5 + 0) / 2
    mean = np.array([0.0, 0.0, 100.0, 0.0])
    assert delplace.realism_coded(rows, directions, mean) == pytest.approx(0.5)  # (1 + 0) / 2


def test_variation_and_diversity_by_hand():
    random = np.random.default_rng(0)
    rows = whitened(400, 3, 0) * np.sqrt([10.0, 5.0, 0.1])
    rows = np.concatenate([rows, np.zeros((400, 2))], 1)
    assert delplace.variation(rows) == pytest.approx(15.1)
    np.testing.assert_allclose(delplace.spectrum(rows)[:3], [10, 5, 0.1], rtol=1e-6)
    assert delplace.diversity(rows) == 2  # 0.1 is below 1 % of 15.1
    wide = random.standard_normal((5, 40))  # fewer images than pixels
    expected = np.sort(np.linalg.eigvalsh(np.cov(wide, rowvar=False)))[::-1][:5]
    np.testing.assert_allclose(delplace.spectrum(wide)[:5], expected, atol=1e-9)


def test_variation_as_coded_grows_with_the_number_of_images():
    rows = np.random.default_rng(0).standard_normal((20, 30))
    twice = np.concatenate([rows, rows])
    assert delplace.variation_coded(twice) == pytest.approx(2 * delplace.variation_coded(rows))
    assert delplace.variation_coded(rows) == pytest.approx(np.trace(np.cov(rows)))


# --- C2ST -----------------------------------------------------------------------------


def test_c2st_of_one_population_is_a_half():
    values = [c2st_logistic(cloud(seed=s), cloud(seed=s + 50), "flat", s) for s in range(10)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    "classify", [lambda a, b: c2st_logistic(a, b, "flat", 0), lambda a, b: c2st_cnn(a, b, 0)]
)
def test_c2st_of_separable_sets_is_one(classify):
    assert classify(cloud(), cloud(seed=1, shift=0.5)) > 0.97


def test_c2st_holds_people_out():
    """Slices of a person that are all the same give nothing away about other people."""
    images = np.repeat(blobs(16), 10, 0)
    people = np.repeat([f"s{i}" for i in range(16)], 10)
    rows = flat(images).astype(np.float64)
    both = [Cloud(images[p], people[p], {"flat": rows[p]}) for p in np.split(np.arange(160), 2)]
    assert c2st_logistic(*both, "flat", 0) < 0.85


# --- draws, features, neighbours ------------------------------------------------------


def test_draws_are_equal_in_size_and_share_no_subject():
    real, synthetic = cloud(80), cloud(33, people=33)
    taken = list(draws(real, synthetic, 5, 0))
    assert len(taken) == 5
    for draw in taken:
        sizes = {len(part.images) for part in (draw.half, draw.other_half, draw.synthetic)}
        assert sizes == {16}  # half of the synthetic images
        assert not set(draw.half.subjects) & set(draw.other_half.subjects)
    again = next(iter(draws(real, synthetic, 5, 0)))
    np.testing.assert_array_equal(again.half.images, taken[0].half.images)


def test_half_of_subjects():
    chosen = half_of_subjects(cloud(80, people=8), 0)
    assert chosen.sum() == 40


def test_half_samples_vary_as_the_whole_sample_does():
    """The interval of a mean covers the truth at about its nominal rate."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        values = random.standard_normal(40)
        halves = [random.permutation(values)[:20].mean() for _ in range(60)]
        _, low, high = interval(halves)
        hits += low <= 0 <= high
    assert 0.85 <= hits / 200 <= 0.99


def test_principal_components_agree_with_scikit_learn():
    images = blobs(60)
    ours = principal_components(fit_directions(images, 5)).extract(images)
    theirs = PCA(5, svd_solver="full").fit_transform(flat(images))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-2)


def test_the_random_network_is_always_the_same():
    one, two = random_network(1), random_network(1)
    images = blobs(4, 64)
    assert one.fingerprint == two.fingerprint
    np.testing.assert_array_equal(one.extract(images), two.extract(images))
    assert one.extract(images).shape == (4, 2 * (16 + 32 + 64))


def test_a_copy_is_its_own_nearest_neighbour():
    train = blobs(50)
    distances, rows = nearest(train[[7, 3]], train)
    assert rows.tolist() == [7, 3]
    assert distances.max() == 0
    moved, _ = nearest(np.clip(train[:1] + np.float16(0.1), -1, 1), train)
    assert 0 < moved[0] <= 0.1001
