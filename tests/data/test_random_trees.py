"""Whatever a tree of people, visits and series is called, nobody becomes two people silently."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from mrgantry.common.errors import DataError
from mrgantry.data import find_subjects

PEOPLE = [
    ("pat01", "pat02", "pat10"),
    ("001", "002", "017"),
    ("anna", "bert", "carl"),
    ("IXI002", "IXI012", "IXI013"),
    ("002_S_0295", "011_S_0021", "011_S_0023"),
    ("P-1", "P-2", "P-3"),
    ("Smith John", "Doe Jane", "Roe Max"),
    ("PD-001", "PD-002", "HC-001"),
    ("389859405", "389859777", "389861002"),
]
VISITS = [
    ("ses-1", "ses-2"),
    ("2019-01-01", "2020-02-03"),
    ("20190101", "20200203"),
    ("baseline", "followup"),
    ("01", "02"),
    ("before", "after"),
    ("early", "late"),
    ("MR1", "MR2"),
    ("V1", "V2"),
    ("exam a", "exam b"),
    ("A", "B"),
    ("20382374", "20399121"),
    ("month 3", "month 6"),
]
SERIES = [
    ("t1.nii.gz", "t2.nii.gz"),
    ("T1w.nii.gz", "FLAIR.nii.gz"),
    ("t1_mprage_5.nii.gz", "t2_tse_7.nii.gz"),
    ("AX T1.nii.gz", "SAG T2.nii.gz"),
    ("T1/scan.nii.gz", "T2/scan.nii.gz"),
    ("3_t1_mprage/image.nii.gz", "4_flair/image.nii.gz"),
]
SHAPES = [
    "{p}/{v}/{s}",
    "{p}/anat/{v}/{s}",
    "{p}/MR/{v}/{s}",
    "{p}/{v}/anat/{s}",
    "{v}/{p}/{s}",
    "{p}_{v}/{s}",
    "{p}_{v}_{s}",
    "{p}-{v}-{s}",
    "{p}/{v}_{s}",
    "{p}/{p}_{v}_{s}",
    "group/{p}/{v}/{s}",
    "controls/{p}/{v}/{s}",
    "siteA/{p}/{v}/{s}",
    "data/{v}/{p}/{s}",
    "data/{v}/{p}_{s}",
]


@settings(max_examples=400, deadline=None)
@given(
    people=st.sampled_from(PEOPLE),
    visits=st.sampled_from(VISITS),
    series=st.sampled_from(SERIES),
    shape=st.sampled_from(SHAPES),
    count=st.integers(2, 3),
    both=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_nobody_becomes_two_people_silently(people, visits, series, shape, count, both):
    with TemporaryDirectory() as name:
        root = Path(name)
        owner = {}
        for person, second in zip(people[:count], both):
            for visit in visits[: 1 + second]:
                for scan in series:
                    path = root / shape.format(p=person, v=visit, s=scan)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"")
                    owner[path] = person
        try:
            found = find_subjects(root, ["t1"])
        except DataError:
            return  # a sentence
        names = {}
        for subject in found:
            for path in subject.scans.values():
                names.setdefault(owner[path], set()).add(subject.id)
        said = " ".join(remark for subject in found for remark in subject.remarks)
        for person, ids in names.items():
            assert len(ids) == 1 or any(name in said for name in ids), (person, ids)
        assert said or len({name for ids in names.values() for name in ids}) > 1
