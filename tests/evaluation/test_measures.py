import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from conftest import blobs
from mrgantry.common.errors import DataError
from mrgantry.common.score import interval
from mrgantry.evaluation.cloud import Cloud, Pair, draw_half, half_of_subjects
from mrgantry.evaluation.extractors.embedding import tsne
from mrgantry.evaluation.extractors.features import (
    fit_directions,
    flat,
    principal_components,
    random_network,
    reduced_images,
)
from mrgantry.evaluation.measures import delplace
from mrgantry.evaluation.measures.frechet import frechet_distance
from mrgantry.evaluation.measures.kernel import kernel_distance
from mrgantry.evaluation.measures.manifold import manifold, reach
from mrgantry.evaluation.measures.measure import Kind, Measure
from mrgantry.evaluation.measures.ms_ssim import ms_ssim, scales, similarity_of_pairs
from mrgantry.evaluation.measures.neighbours import copying, nearest
from mrgantry.evaluation.measures.spectrum import (
    BANDS,
    directional_difference,
    directional_spectrum,
    frequencies,
    radial_spectrum,
    spectral_difference,
)
from mrgantry.evaluation.scoring import floor_of


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


def test_frechet_of_singular_covariances():
    """Fewer rows than features, and features that vary together, against a general root."""
    random = np.random.default_rng(0)
    few = random.standard_normal((10, 50)), random.standard_normal((12, 50))
    flat = random.standard_normal((90, 4)) @ random.standard_normal((4, 8))
    for x, y in (few, (flat, flat[:40] * 2 + 1), (np.ones((20, 3)), flat[:20, :3])):
        both = [np.cov(rows, rowvar=False) for rows in (x, y)]
        root = np.sqrt(np.linalg.eigvals(both[0] @ both[1]).astype(complex)).real.sum()
        difference = x.mean(0) - y.mean(0)
        expected = difference @ difference + np.trace(both[0]) + np.trace(both[1]) - 2 * root
        assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)


def test_frechet_needs_two_rows():
    with pytest.raises(DataError, match="not 1 and 5"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))


class Pixels(nn.Module):
    """Give the first pixels of an image as its features, so that torchmetrics' classes can run."""

    def __init__(self, count):
        super().__init__()
        self.count, self.num_features = count, count

    def forward(self, images):
        return images.flatten(1)[:, : self.count].double()


def test_frechet_and_kernel_distance_agree_with_torchmetrics():
    random = torch.Generator().manual_seed(0)
    x = torch.rand(90, 1, 8, 8, generator=random, dtype=torch.float64)
    y = torch.rand(90, 1, 8, 8, generator=random, dtype=torch.float64) ** 2 + 0.1 * x
    theirs = FrechetInceptionDistance(feature=Pixels(20))
    theirs.set_dtype(torch.float64)
    with pytest.warns(UserWarning, match="save all extracted features"):
        kernel = KernelInceptionDistance(feature=Pixels(20), subsets=1, subset_size=90)
    for metric in (theirs, kernel):
        metric.update(x, real=True)
        metric.update(y, real=False)
    a, b = (images.flatten(1)[:, :20].numpy() for images in (x, y))
    assert frechet_distance(a, b) == pytest.approx(float(theirs.compute()), rel=1e-8)
    assert kernel_distance(a, b) == pytest.approx(float(kernel.compute()[0]), rel=1e-6)


def test_the_kernel_distance_is_unbiased():
    random = np.random.default_rng(0)
    values = [kernel_distance(*random.standard_normal((2, 30, 4))) for _ in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 300**0.5
    with pytest.raises(DataError, match="not 1 and 5"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))


# --- precision, density, recall, coverage ---------------------------------------------


def test_precision_density_recall_and_coverage_by_brute_force():
    random = np.random.default_rng(0)
    x, y, k = random.standard_normal((40, 3)), random.standard_normal((30, 3)) * 0.7 + 0.4, 3

    def apart(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2)

    of_x, of_y = (np.sort(apart(z, z), axis=1)[:, k] for z in (x, y))  # 0 is itself
    inside = apart(x, y) <= of_x[:, None]
    found = manifold(x, y, (np.arange(40), np.arange(30)), k)
    assert found.precision == pytest.approx(np.mean([inside[:, j].any() for j in range(30)]))
    assert found.density == pytest.approx(inside.sum() / (k * 30))
    assert found.coverage == pytest.approx(np.mean([inside[i].any() for i in range(40)]))
    assert found.recall == pytest.approx((apart(x, y) <= of_y[None]).any(1).mean())


def test_neighbours_are_those_of_other_subjects():
    """Two people, each with slices in a tight group: the next person is far away."""
    rows = np.array([[0.0], [0.1], [0.2], [10.0], [10.1], [10.2]])
    people = np.array(list("aaabbb"))
    assert reach(rows, people, 2).tolist() == pytest.approx([10.1, 10, 9.9, 9.9, 10, 10.1])
    assert reach(rows, np.arange(6), 2).tolist() == pytest.approx([0.2, 0.1, 0.2, 0.2, 0.1, 0.2])
    with pytest.raises(DataError, match="of 6 images 3 are of one subject"):
        reach(rows, people, 4)


def test_equal_clouds_cover_each_other_and_distant_ones_do_not():
    x = np.random.default_rng(0).standard_normal((50, 4))
    whose = (np.arange(50), np.arange(50))
    assert manifold(x, x, whose)[0::2] == (1, 1)
    assert manifold(x, x + 100, whose) == (0, 0, 0, 0)


# --- spectrum -------------------------------------------------------------------------


def test_a_grating_lies_in_the_ring_of_its_frequency():
    wave = np.cos(2 * np.pi * 5 * np.arange(32) / 32)
    images = np.broadcast_to(wave, (2, 1, 32, 32)).astype(np.float16)
    found = radial_spectrum(images)
    assert frequencies(32)[found[0].argmax()] == 5 / 32
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 1, 32, 32)).astype(np.float16)
    # Brightness and contrast do not matter.
    darker = radial_spectrum(noise * np.float16(0.5) - np.float16(0.25))
    np.testing.assert_allclose(radial_spectrum(noise), darker, atol=0.1)


def test_a_checkerboard_stands_at_the_corner_of_the_spectrum():
    images = blobs(20, 32)
    board = np.where(np.indices((32, 32)).sum(0) % 2, 0.1, -0.1).astype(np.float16)
    plain, checkered = radial_spectrum(images), radial_spectrum(images + board)
    assert (checkered - plain).mean(0).argmax() == len(frequencies(32)) - 1
    assert frequencies(32)[-1] == pytest.approx(0.5**0.5, abs=0.02)
    assert spectral_difference(plain, checkered) > 5 * spectral_difference(plain[::2], plain[1::2])


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_stand_along_their_axis_and_grow_with_their_height(period, axis):
    random = np.random.default_rng(0)
    noise = random.uniform(-0.5, 0.5, (50, 1, 64, 64)).astype(np.float16)
    line = np.where(np.arange(64) % period < period // 2, 1, -1).astype(np.float16)
    stripes = line[:, None] if axis == 0 else line[None]
    plain = directional_spectrum(noise)
    weak, strong = (
        directional_spectrum(noise + np.float16(height) * stripes) for height in (0.02, 0.1)
    )
    rise = 10 * np.log10(strong.mean(0) / plain.mean(0))
    along, across = np.split(rise, 2)[:: 1 if axis == 0 else -1]
    band = int((1 / period - 0.1) / (0.4 / BANDS) - 1e-9)
    assert along.argmax() == band and along[band] > 10
    assert abs(across).max() < 1
    assert directional_difference(plain, strong) > 3 * directional_difference(plain, weak) > 0
    # An average over all directions hardly sees the stripes.
    by_radius = spectral_difference(
        *map(radial_spectrum, (noise, noise + np.float16(0.1) * stripes))
    )
    assert by_radius < 0.4 * directional_difference(plain, strong)


def test_noise_has_no_direction():
    random = np.random.default_rng(0)
    noise = random.uniform(-1, 1, (400, 1, 32, 32)).astype(np.float16)
    np.testing.assert_allclose(directional_spectrum(noise).mean(0), 1, atol=0.25)
    half = [directional_spectrum(some) for some in (noise[::2], noise[1::2])]
    assert directional_difference(*half) < 1


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
    assert delplace.diversity(rows) == 2  # 0.1 is below 1 % of 15.1
    for wide in (random.standard_normal((60, 90)), random.standard_normal((90, 60))):
        values = np.linalg.eigvalsh(np.cov(wide, rowvar=False))
        assert delplace.diversity(wide) == (values > 0.01 * values.sum()).sum() > 32


def eigenvalues_as_coded(images):
    """Give the eigenvalues that the published program sees: images as variables."""
    return np.linalg.eigvalsh(np.cov(images - images.mean(axis=0)))


def test_diversity_as_coded_takes_the_mean_image_away():
    random = np.random.default_rng(0)
    for shape in ((60, 90), (90, 60)):
        common = 40 * random.standard_normal(shape[1])
        images = random.standard_normal(shape) + common
        coded = eigenvalues_as_coded(images)
        assert delplace.diversity_coded(images) == (coded > 0.01 * coded.sum()).sum() > 32


def test_variation_as_coded_is_given_at_the_papers_number_of_images():
    images = np.random.default_rng(0).standard_normal((20, 30)) + 5 * np.arange(30)
    coded = eigenvalues_as_coded(images).sum()
    assert delplace.variation_coded(images, at=20) == pytest.approx(coded)
    assert delplace.variation_coded(images) == pytest.approx(coded * 11_327 / 19)
    many = np.random.default_rng(1).standard_normal((400, 30)) + 5 * np.arange(30)
    # Of the same population, more images score the same, which the program's number does not.
    assert delplace.variation_coded(many) == pytest.approx(
        delplace.variation_coded(images), rel=0.15
    )


# --- draws, features, neighbours ------------------------------------------------------


def test_draws_are_equal_in_size_and_share_no_subject():
    real, synthetic = cloud(80), cloud(33, people=33)
    for turn in range(5):
        found = draw_half(real, synthetic, turn, 0)
        pair, floor = found.synthetic, found.floor
        assert {len(part) for part in (pair.real, pair.other, floor.other)} == {16}  # half of 33
        assert pair.real is floor.real
        assert not set(pair.real.subjects) & set(floor.other.subjects)
        again = draw_half(real, synthetic, turn, 0).synthetic
        np.testing.assert_array_equal(again.other.images, pair.other.images)
    assert len(draw_half(real, synthetic, 0, 0, most=7).floor.other) == 7


def test_sets_with_subjects_are_drawn_by_half_of_them():
    found = draw_half(cloud(80), cloud(80, seed=1, people=8), 0, 0)
    assert len(np.unique(found.synthetic.other.subjects)) == 4


def test_the_floor_of_a_measure_of_one_set_is_as_wide_as_a_difference_of_two():
    kinds = (Kind("mean", "real", ""),)
    measure = Measure(kinds, "pixels", lambda of: (of.other.images.mean(),), alone=True)
    one, two = cloud(20), cloud(20, seed=1)
    here, there = float(one.images.mean()), float(two.images.mean())
    (found,) = floor_of(measure, Pair(one, two, 0))
    assert found == pytest.approx((here + there) / 2 + (there - here), rel=1e-3)


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
    theirs = theirs / np.sqrt(theirs.var(0, ddof=1).mean())  # one factor for all
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-2)


def test_the_random_network_is_always_the_same():
    images = blobs(40, 64)
    one, two = random_network(images), random_network(images)
    assert one.fingerprint == two.fingerprint != random_network(images[:30]).fingerprint
    found = one.extract(images)
    np.testing.assert_array_equal(found, two.extract(images))
    assert found.shape == (40, 2 * (16 + 32 + 64))
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    assert found.std(0).max() == pytest.approx(1)


def test_reduced_images_keep_anatomy_and_lose_texture():
    images = blobs(4, 64)
    board = np.where(np.indices((64, 64)).sum(0) % 2, 0.2, -0.2).astype(np.float16)
    small = reduced_images(images)
    assert small.shape == (4, 1, 32, 32)
    np.testing.assert_allclose(reduced_images(images + board), small, atol=0.01)


def test_copies_lie_nearer_to_training_images_than_to_others():
    rows = flat(blobs(150)).reshape(150, -1)
    train, held, new = rows[:50], rows[50:100], rows[100:]

    def of(some):
        return copying(some, nearest(some, train)[0], held)

    assert of(new).median == pytest.approx(1, abs=0.1)
    assert of(train).median < 1e-3 > of(train).rare
    few = of(np.concatenate([new[2:], train[:2]]))  # one in twenty-five
    assert few.median == pytest.approx(of(new).median, abs=0.05) and few.rare < 1e-3
    assert of(held[:3] * 0).median > 0  # nothing is divided by 0
    assert copying(held, nearest(held, held)[0], held).median == 1  # in both


def test_a_copy_is_its_own_nearest_neighbour():
    train = blobs(50)
    train = flat(train)
    distances, rows = nearest(train[[7, 3]], train)
    assert rows.tolist() == [7, 3]
    assert distances.max() == 0
    moved, _ = nearest(np.clip(train[:1] + np.float32(0.1), -1, 1), train)
    assert 0 < moved[0] <= 0.1001


# --- t-SNE ----------------------------------------------------------------------------


def test_tsne_keeps_groups_apart_and_draws_equally_many():
    random = np.random.default_rng(0)
    groups = {"a": random.standard_normal((60, 8)), "b": random.standard_normal((30, 8)) + 20}
    found = tsne(groups, each=40, perplexity=10, iterations=300)
    assert {name: places.shape for name, places in found.items()} == {"a": (40, 2), "b": (30, 2)}
    centres = [places.mean(0) for places in found.values()]
    apart = np.linalg.norm(centres[0] - centres[1])
    assert apart > 2 * max(places.std() for places in found.values())
    np.testing.assert_array_equal(
        tsne(groups, each=40, perplexity=10, iterations=300)["a"], found["a"]
    )
    with pytest.raises(DataError, match="t-SNE at perplexity 100 needs more images"):
        tsne(groups)
