"""Damage scans in a thousand ways and judge what the reader makes of them.

Run as a program, in a process of its own, since what reads foreign formats may crash:

    python mutants.py FOLDER KIND FIRST COUNT

It prints one line of JSON before and one after each case.

**What is right.** A damaged scan is refused with a DataError of one printable line that
names it, or it is read *rightly*, and that means:

1. Shape and order of the voxels, as stored, are the original's. Always.
2. Where a checksum guards the voxels (gzip, zlib), they equal the original's.
3. Where none does, nobody can see that a voxel was changed. But only the voxels whose
   bytes were changed may differ.
4. A file that is longer or shorter than its header promises is never read, unless the
   difference lies behind the voxels of an MGH file, whose end is open by design.
5. If no byte of the header was changed, the affine is the original's.
6. If one was, then a header that is sound in itself has to be believed: where the voxels
   lie may change; the voxels may all be scaled by one slope and intercept; and the same
   bytes may be read as another type of the same width (no header holds a second witness
   of those). Nothing else may differ.
7. Where a header tells the axes twice (NIfTI with qform and sform), one flipped bit does
   not turn them.
"""

import gzip
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from mrgantry.common.errors import DataError
from mrgantry.data.volume import Volume, read_volume
from scans import KINDS, PACKED, Truth

SECONDS = 10.0
MEGABYTES = 64  # of memory that any small scan may take on top of what Python has


@dataclass(frozen=True, eq=False)
class Scan:
    """The files of a scan: bytes by name.

    Attributes:
        kind: One of `scans.KINDS`.
        files: What they hold.
        scan: What is handed to the reader, relative to their folder.
        truth: What it held before it was damaged.
    """

    kind: str
    files: dict[str, bytes]
    scan: str
    truth: Truth

    def body(self, name: str) -> slice | None:
        """Give where the voxels stand in one of the files; None if it has none."""
        size = self.truth.voxels.nbytes
        if self.kind in ("nifti1-gz", "mgz"):
            return slice(0, len(self.files[name]))
        if self.kind == "mgh":
            return slice(284, 284 + size)
        if self.kind == "dicom":
            return slice(len(self.files[name]) - size // self.truth.voxels.shape[2], None)
        if name.endswith((".hdr", ".mhd")):
            return None
        if self.kind == "mha-packed":
            return slice(self.files[name].index(b"LOCAL\n") + 6, None)
        if self.kind == "nrrd-packed":
            return slice(self.files[name].index(b"\n\n") + 2, None)
        return slice(len(self.files[name]) - size, None)

    def put(self, name: str, data: bytes) -> "Scan":
        """Give the scan with one file changed."""
        return replace(self, files=self.files | {name: data})


@dataclass(frozen=True, eq=False)
class Case:
    """A damaged scan, and what the damage may excuse.

    Attributes:
        name: What was done, for people.
        scan: The result.
        header: True if bytes of a header changed.
        resized: True if the bytes behind the header became more or less.
        touched: True where the bytes of a voxel changed.
        must: "refuse", "same" (as the original) or "" (either is right).
        bit: True if a single bit was flipped.
    """

    name: str
    scan: Scan
    header: bool = False
    resized: bool = False
    touched: np.ndarray | None = None
    must: str = ""
    bit: bool = False


def make(kind: str) -> Scan:
    """Write the phantom in one format and take it into memory."""
    with tempfile.TemporaryDirectory() as folder:
        path, truth = KINDS[kind](Path(folder))
        files = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(Path(folder).rglob("*"))
            if file.is_file()
        }
        return Scan(kind, files, str(path.relative_to(folder)), truth)


# --- damage ---------------------------------------------------------------------------


def _some_file(scan: Scan, random: np.random.Generator) -> str:
    return str(random.choice(sorted(scan.files)))


def _header(scan: Scan, random: np.random.Generator) -> tuple[str, int]:
    """Choose a file with a header; give where the header ends."""
    names = [name for name in sorted(scan.files) if (b := scan.body(name)) is None or b.start]
    if not names:  # the header is packed with the voxels
        return "", 0
    name = str(random.choice(names))
    body = scan.body(name)
    return name, len(scan.files[name]) if body is None else body.start


def undamaged(scan: Scan, random: np.random.Generator) -> Case:
    """Do nothing: a reader that refuses everything would pass all other cases."""
    return Case("undamaged", scan, must="same")


def truncated(scan: Scan, random: np.random.Generator) -> Case:
    name = _some_file(scan, random)
    end = int(random.integers(len(scan.files[name])))
    return Case(f"{name} ends at {end}", scan.put(name, scan.files[name][:end]), True, True)


def longer(scan: Scan, random: np.random.Generator) -> Case:
    name = _some_file(scan, random)
    more = random.bytes(int(random.integers(1, 5000)))
    changed = scan.put(name, scan.files[name] + more)
    return Case(f"{name} has {len(more)} more", changed, scan.body(name) is None, True)


def _bytes_changed(
    scan: Scan, name: str, places: np.ndarray, random: np.random.Generator, *, bit: bool
) -> Scan:
    data = bytearray(scan.files[name])
    for place in places:
        data[place] ^= 1 << int(random.integers(8)) if bit else int(random.integers(1, 256))
    return scan.put(name, bytes(data))


def body_flipped(scan: Scan, random: np.random.Generator) -> Case:
    names = [name for name in sorted(scan.files) if scan.body(name)]
    name = str(random.choice(names))
    places = np.arange(len(scan.files[name]))[scan.body(name)]
    chosen = random.choice(places, int(random.integers(1, 9)), replace=False)
    changed = _bytes_changed(scan, name, chosen, random, bit=bool(random.integers(2)))
    return Case(f"{name} flipped at {chosen}", changed)


def header_flipped(scan: Scan, random: np.random.Generator) -> Case:
    name, end = _header(scan, random)
    if not name:
        return body_flipped(scan, random)
    bit = bool(random.integers(2))
    count = 1 if bit else int(random.integers(1, 5))
    chosen = random.choice(end, count, replace=False)
    changed = _bytes_changed(scan, name, chosen, random, bit=bit)
    return Case(f"{name} header flipped at {chosen}", changed, header=True, bit=bit)


def repacked(scan: Scan, random: np.random.Generator) -> Case:
    """Damage a header that is packed, and pack it again with a right checksum."""
    if scan.kind not in ("nifti1-gz", "mgz"):
        return header_flipped(scan, random)
    (name,) = scan.files
    data = gzip.decompress(scan.files[name])
    end = 284 if scan.kind == "mgz" else 352
    bit = bool(random.integers(2))
    places = random.choice(end, 1 if bit else int(random.integers(1, 5)), replace=False)
    changed = _bytes_changed(scan.put(name, data), name, places, random, bit=bit)
    packed = gzip.compress(changed.files[name], mtime=0)
    return Case(f"header flipped at {places}, packed", scan.put(name, packed), True, bit=bit)


def zeroed(scan: Scan, random: np.random.Generator) -> Case:
    name = _some_file(scan, random)
    data = scan.files[name]
    body = scan.body(name)
    start = int(random.integers(len(data)))
    stop = min(len(data), start + int(random.integers(1, 512)))
    header = start < (len(data) if body is None else body.start)
    changed = scan.put(name, data[:start] + bytes(stop - start) + data[stop:])
    return Case(f"{name} zeroed {start}:{stop}", changed, header)


def garbage(scan: Scan, random: np.random.Generator) -> Case:
    name = _some_file(scan, random)
    count = int(random.choice([1, 3, 17, 348, 352, 1000, 5000]))
    if (body := scan.body(name)) and not body.start and scan.kind not in PACKED:
        count += 5000  # a file of voxels alone has nothing but its length
    changed = scan.put(name, random.bytes(count))
    return Case(f"{name} is {count} random bytes", changed, True, True, must="refuse")


def empty(scan: Scan, random: np.random.Generator) -> Case:
    name = _some_file(scan, random)
    return Case(f"{name} is empty", scan.put(name, b""), True, True, must="refuse")


def shifted(scan: Scan, random: np.random.Generator) -> Case:
    """Lose or gain some bytes in the middle, as by a text-mode transfer."""
    name = _some_file(scan, random)
    data, body = scan.files[name], scan.body(name)
    start = int(random.integers(len(data)))
    some = int(random.integers(1, 9))
    lost = bool(random.integers(2))
    new = data[:start] + (data[start + some :] if lost else random.bytes(some) + data[start:])
    in_header = start < (len(data) if body is None else body.start)
    what = f"{name} {'loses' if lost else 'gains'} {some} at {start}"
    return Case(what, scan.put(name, new), in_header, not in_header)


def other_name(scan: Scan, random: np.random.Generator) -> Case:
    """Put the file of another format under this name."""
    kind = str(random.choice([one for one in KINDS if one != scan.kind]))
    other = make(kind)
    name = scan.scan if scan.scan in scan.files else _some_file(scan, random)
    data = other.files.get(other.scan, next(iter(other.files.values())))
    # NIfTI is one format, packed or not, of either version and byte order, and so is MGH.
    family = [{"nifti1", "nifti1-gz", "nifti1-big", "nifti2"}, {"mgz", "mgh"}]
    family += [{"mha", "mha-packed"}, {"nrrd", "nrrd-packed"}]
    same = any({kind, scan.kind} <= one for one in family)
    same = same or (scan.kind == "mhd" and kind.startswith("mha"))  # which has its own voxels
    must = "same" if same else "refuse"
    if {kind, scan.kind} == {"nifti-pair", "analyze"}:  # one header serves the other's voxels
        must = ""
    return Case(f"{name} is {kind}", scan.put(name, data), True, True, must=must)


def not_finite(scan: Scan, random: np.random.Generator) -> Case:
    """Put NaN or infinity among voxels that are floats."""
    truth = scan.truth.voxels
    names = [name for name in sorted(scan.files) if scan.body(name)]
    if truth.dtype.kind != "f" or scan.kind in PACKED:
        return body_flipped(scan, random)
    data = bytearray(scan.files[names[0]])
    start = scan.body(names[0]).start + truth.itemsize * int(random.integers(truth.size))
    value = float(random.choice([np.nan, np.inf, -np.inf]))
    data[start : start + truth.itemsize] = np.array(value, truth.dtype).tobytes()
    return Case(f"a voxel is {value}", scan.put(names[0], bytes(data)), must="refuse")


DAMAGES: list[Callable[[Scan, np.random.Generator], Case]] = [
    truncated,
    longer,
    body_flipped,
    header_flipped,
    header_flipped,
    header_flipped,
    repacked,
    zeroed,
    garbage,
    empty,
    shifted,
    other_name,
    not_finite,
]


# --- judgement ------------------------------------------------------------------------


def judge(case: Case, original: Scan, volume: Volume) -> str:
    """Say what is wrong with what was read, "" if it is right."""
    if case.must == "refuse":
        return "was read, and should have been refused"
    truth = original.truth
    turn = nib.orientations.axcodes2ornt(volume.stored_axes)
    back = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), turn)
    got = nib.orientations.apply_orientation(volume.voxels, back)
    if got.shape != truth.voxels.shape:
        return f"has the shape {got.shape}"
    _, affine = truth.in_ras
    moved = not np.allclose(volume.affine, affine, atol=1e-3)
    axes = "".join(nib.aff2axcodes(truth.affine))
    if moved and not case.header:
        return "lies elsewhere, though no header was touched"
    if case.bit and original.kind.startswith("nifti") and volume.stored_axes != axes:
        return f"has its axes turned to {volume.stored_axes} by one bit"
    if case.must == "same" or case.resized or original.kind in PACKED:
        if np.array_equal(got, truth.voxels):
            return ""
        if case.must == "same" or case.resized or not case.header:
            return "has other voxels"
    changed, stored = _stored(case, original)
    if changed[~(got == truth.voxels)].all():
        return ""
    if not case.header:
        return "has other voxels than those that were touched"
    return _scaled(got, stored, changed, original)


def _stored(case: Case, original: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Give which voxels' bytes were changed, and the voxels that those bytes are now."""
    truth = original.truth.voxels
    if original.kind in PACKED:
        return np.zeros(truth.shape, bool), truth
    data = b"".join(
        case.scan.files[name][body.start :][: truth.nbytes]
        if original.kind == "mgh"
        else case.scan.files[name][-(len(original.files[name]) - body.start) :]
        for name in sorted(original.files)
        if (body := original.body(name))
    )
    if len(data) != truth.nbytes:
        return np.zeros(truth.shape, bool), truth
    now = np.frombuffer(data, truth.dtype).reshape(truth.shape, order="F")
    unsigned = f"u{truth.itemsize}"  # so that NaN equals itself
    return now.view(unsigned) != truth.view(unsigned), now


def _scaled(got: np.ndarray, stored: np.ndarray, changed: np.ndarray, original: Scan) -> str:
    """Accept voxels that are one linear function of the stored bytes, read as some type."""
    pieces = [(got, stored, changed)]
    if original.kind == "dicom":  # each of its files has a header of its own
        pieces = [(got[..., k], stored[..., k], changed[..., k]) for k in range(got.shape[2])]
    for g, s, c in pieces:
        size = s.itemsize
        kinds = [f"{e}{k}{size}" for e in "<>" for k in ("uif" if size > 1 else "ui")]
        views = [np.ascontiguousarray(s).view(kind).astype(np.float64) for kind in kinds]
        if not any(_linear(g[~c], view[~c]) for view in views):
            return "has voxels that no scale explains"
    return ""


def _linear(got: np.ndarray, stored: np.ndarray) -> bool:
    if not np.isfinite(stored).all() or not np.ptp(stored):
        return False
    low, high = stored.argmin(), stored.argmax()
    slope = (float(got[high]) - float(got[low])) / (stored[high] - stored[low])
    rest = got - (got[low] + slope * (stored - stored[low]))
    return bool(np.abs(rest).max() <= 1e-5 * max(np.abs(got).max(), 1e-30))


def run(case: Case, original: Scan, folder: Path) -> dict[str, object]:
    """Write a case to disk, read it, and judge."""
    for name, data in case.scan.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    path = folder / case.scan.scan
    wrong = refused = ""
    memory, start = _peak(), time.monotonic()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            wrong = judge(case, original, read_volume(path))
        except DataError as error:
            refused = str(error)
            if case.must == "same":
                wrong = f"was refused: {refused}"
            elif str(path) not in refused or not refused.isprintable() or refused[-1] != ".":
                wrong = f"has no clean sentence: {refused!r}"
    seconds = time.monotonic() - start
    if warned:
        wrong = f"warned: {warned[0].message}"
    if seconds > SECONDS or _peak() - memory > MEGABYTES:
        wrong = f"took {seconds:.0f} s and {_peak() - memory:.0f} MB"
    return {"case": case.name, "wrong": wrong, "refused": refused, "seconds": seconds}


def _peak() -> float:
    """Give the most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, kind: str, first: int, count: int) -> None:
    """Run the cases `first` to `first + count` of one format."""
    original = make(kind)
    noise = os.dup(2)  # what C++ libraries say goes past Python's sys.stderr
    for seed in range(first, first + count):
        random = np.random.default_rng([sorted(KINDS).index(kind), seed])
        damage = undamaged if seed == first else DAMAGES[seed % len(DAMAGES)]
        case = damage(original, random)
        print(json.dumps({"kind": kind, "seed": seed, "case": case.name}), flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as place, tempfile.TemporaryFile() as heard:
            os.dup2(heard.fileno(), 2)
            verdict = run(case, original, Path(place))
            os.dup2(noise, 2)
            heard.seek(0)
            if said := heard.read():
                verdict["wrong"] = f"said {said[:200]!r}; {verdict['wrong']}"
        print(json.dumps({"kind": kind, "seed": seed} | verdict), flush=True)


def _limit_memory() -> None:
    """Let the process have 1 GB on top of what its libraries have mapped."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    make("mha")  # so that all libraries are loaded
    _limit_memory()
    for one in KINDS if sys.argv[2] == "all" else [sys.argv[2]]:
        main(Path(sys.argv[1]), one, int(sys.argv[3]), int(sys.argv[4]))
