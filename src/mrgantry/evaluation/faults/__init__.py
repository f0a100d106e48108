"""Known faults, made to real images: what measures must notice, and what they must not.

The faults are those that generators make, each from a strength that is hardly seen to a plain
one. Lengths are in pixels of images of 64; periods of patterns are in pixels of any image.
"""

from mrgantry.evaluation.faults import anatomy, lesions, selection, texture
from mrgantry.evaluation.faults.material import Fault, Images, Material, in_a_share, in_all

__all__ = ["FAULTS", "GROUPS", "Fault", "Images", "Material"]

HEIGHTS = (0.02, 0.05, 0.1)  # of patterns; black to white is 2
FEW, SOME = (0.03, 0.1, 0.3), (0.1, 0.3, 1.0)  # shares of images
DARKER = "{} darker and lighter in turn, within the head"

NONE = Fault(
    "none",
    "real slices of other subjects",
    selection.nothing,
    unmoved=(
        "distances",
        "fidelity",
        "variety",
        "similarity",
        "classifiers",
        "copying",
        "spectrum",
    ),
)
SELECTION = (
    Fault(
        "half of the modes missing",
        "only what lies in one of two clusters (k-means on 16 principal components)",
        selection.half_of_modes,
        noticed_by=("distances", "variety", "similarity", "classifiers"),
        unmoved=("fidelity", "copying", "spectrum"),
    ),
    Fault(
        "few people",
        "all images from {} people",
        selection.few_people,
        (4, 2, 1),
        noticed_by=("distances", "variety", "similarity", "classifiers"),
    ),
    Fault(
        "one image repeated",
        "a single image again and again",
        selection.one_image,
        noticed_by=("distances", "variety", "similarity", "classifiers"),
    ),
    Fault(
        "training copies",
        "the training images",
        selection.copies,
        noticed_by=("copying",),
        unmoved=("distances", "fidelity", "variety", "similarity", "spectrum"),
    ),
    Fault(
        "some training copies",
        "the training image in place of a share {} of the images",
        in_a_share(selection.copied),
        (0.02, 0.05, 0.1),
        noticed_by=("copying",),
        unmoved=("distances", "fidelity", "variety", "similarity", "spectrum"),
    ),
    Fault(
        "warped training copies",
        "training images, bent smoothly by {} pixels (root mean square)",
        selection.warped_copies,
        (1.0, 0.5, 0.25),
        noticed_by=("copying",),
        unmoved=("similarity",),
    ),
)
TEXTURE = (
    Fault(
        "blur",
        "blurred, Gaussian of {} pixels",
        in_all(texture.blurred),
        (0.5, 0.75, 1.0, 1.4, 1.8),
        noticed_by=("distances", "fidelity", "classifiers", "spectrum"),
        unmoved=("copying",),
    ),
    Fault(
        "noise",
        "Gaussian noise, standard deviation {} (black to white is 2)",
        in_all(texture.noisy),
        (0.02, 0.04, 0.08, 0.16),
        noticed_by=("distances", "fidelity", "classifiers", "spectrum"),
        unmoved=("copying",),
    ),
    *(
        Fault(
            f"stripes of {period}",
            f"rows, {period // 2} together, {DARKER}",
            in_all(texture.Pattern("stripes", period)),
            HEIGHTS,
            noticed_by=("distances", "classifiers", "spectrum"),
            unmoved=("copying",),
        )
        for period in (2, 4, 8)
    ),
    Fault(
        "checkerboard",
        f"single pixels, {DARKER}",
        in_all(texture.Pattern("checkerboard", 2)),
        (*HEIGHTS, 0.16),
        noticed_by=("distances", "fidelity", "classifiers", "spectrum"),
        unmoved=("copying",),
    ),
    *(
        Fault(
            f"grid of {period}",
            f"lines every {period} pixels both ways, twice {{}} lighter than between, within the "
            "head, which is no brighter as a whole",
            in_all(texture.Pattern("grid", period)),
            HEIGHTS,
            noticed_by=("distances", "classifiers", "spectrum"),
            unmoved=("copying",),
        )
        for period in (4, 8)
    ),
    Fault(
        "grey levels",
        "{} grey levels from black to white",
        in_all(texture.quantised),
        (64, 32, 16, 8),
        noticed_by=("distances", "classifiers"),
        unmoved=("copying",),
    ),
    Fault(
        "intensity shift",
        "the head brighter by {}",
        in_all(texture.brighter),
        (0.02, 0.05, 0.1, 0.2),
        noticed_by=("distances", "fidelity", "classifiers"),
        unmoved=("copying",),
    ),
    Fault(
        "cortex without gyri",
        "the outer 7 pixels of the head alone smoothed, Gaussian of {} pixels, fading out over the "
        "inner 2; deeper pixels are untouched",
        in_all(texture.smooth_cortex),
        (0.75, 1.0, 1.5),
        noticed_by=("distances", "classifiers", "spectrum"),
        unmoved=("copying",),
    ),
)
ANATOMY = (
    Fault(
        "half heads",
        "the left half of the head, on black, in a share {} of the images",
        in_a_share(anatomy.half_heads),
        (0.01, *FEW),
        noticed_by=("distances", "classifiers"),
    ),
    Fault(
        "means of two heads",
        "the mean with another person's head at the same level, in a share {} of the images",
        in_a_share(anatomy.means_of_two),
        (0.03, *SOME),
        noticed_by=("distances", "classifiers", "spectrum"),
    ),
    Fault(
        "ventricles filled",
        "tissue like that around it for the fluid in the middle, in a share {} of the images",
        in_a_share(anatomy.filled_ventricles),
        SOME,
        noticed_by=("classifiers",),
    ),
    Fault(
        "bites",
        "a round piece of the brain's rim missing (radius 4 to 8 pixels), in a share {} of the "
        "images",
        in_a_share(anatomy.bitten),
        (*FEW, 1.0),
        noticed_by=("distances", "classifiers"),
    ),
)
LESIONS = (
    Fault(
        "left for right",
        "mirrored, a share {} of the images",
        in_a_share(lesions.mirrored),
        SOME,
        tumours=True,
    ),
    Fault(
        "flat tumours",
        "the tumour's mean intensity throughout it, in a share {} of the tumour slices",
        in_a_share(lesions.flat_lesions, tumours=True),
        SOME,
        tumours=True,
    ),
    Fault(
        "noisy tumours",
        "noise of 0.2 within the tumour alone, in a share {} of the tumour slices",
        in_a_share(lesions.noisy_lesions, tumours=True),
        SOME,
        tumours=True,
    ),
    Fault(
        "tumours astride",
        "the tumour moved sideways onto the midline, in a share {} of the tumour slices",
        in_a_share(lesions.astride, tumours=True),
        SOME,
        tumours=True,
    ),
    Fault(
        "tumours sticking out",
        "the tumour moved to the brain's rim, half outside, in a share {} of the tumour slices",
        in_a_share(lesions.sticking_out, tumours=True),
        SOME,
        tumours=True,
    ),
)
GROUPS = ((NONE,), SELECTION, TEXTURE, ANATOMY, LESIONS)
FAULTS = tuple(fault for group in GROUPS for fault in group)
