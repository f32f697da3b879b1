"""39,500 maps of 10x10x512, 8.1 GB, are worked on with less than 6 GiB of memory.

Measured on a tenth of them and on fewer. What counts is the memory that a process owns (RssAnon): it must not grow with
the maps. The features lie in a file that is mapped, so what was read of it stays in memory too (RssFile) as long as
nobody else wants that memory: those pages are the page cache's, and the system takes them back unasked. They grow with
the maps up to the file's size, and say nothing about what a run needs.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kinds of memory are told apart by Linux's /proc")

PROBE = Path(__file__).with_name("memory_probe.py")
FEW, MANY, ALL = 1000, 3950, 39_500
MAP_MIB = 4 * 512 * 10 * 10 / 2**20
LIMIT_MIB = 6 * 2**10


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """MiB of (RssAnon, RssFile) by kind of work, for few and for many maps."""
    path = tmp_path_factory.mktemp("maps") / "train.npy"
    block = np.random.default_rng(0).random((50, 512, 10, 10), dtype=np.float32)
    try:
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (MANY, *block.shape[1:])}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(MANY // len(block)):
                file.write(block.data)
        commands = [[sys.executable, str(PROBE), str(path), str(count)] for count in (FEW, MANY)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        few, many = (process.communicate(timeout=200)[0] for process in started)
    finally:
        path.unlink()
    return {FEW: json.loads(few), MANY: json.loads(many)}


def owned(peaks, work):
    """MiB that the process would own at 39,500 maps: what it owns at few, and as much more a map as up to many."""
    few, many = (peaks[count][work][0] for count in (FEW, MANY))
    return few + max(0, many - few) / (MANY - FEW) * (ALL - FEW)


@pytest.mark.parametrize("work", ["stream", "scale", "gan-feature"])
def test_memory_does_not_grow_with_the_maps(peaks, work):
    grown = peaks[MANY][work][0] - peaks[FEW][work][0]
    assert grown < 0.1 * (MANY - FEW) * MAP_MIB, peaks
    assert owned(peaks, work) < LIMIT_MIB, peaks


def test_fidelity_keeps_a_short_vector_of_each_map_and_stays_far_below_the_limit(peaks):
    grown = peaks[MANY]["fidelity"][0] - peaks[FEW]["fidelity"][0]
    assert grown < 0.4 * (MANY - FEW) * MAP_MIB, peaks  # up to 1,000 rows a class are compared, so it levels off
    assert owned(peaks, "fidelity") < LIMIT_MIB, peaks


def test_a_copy_of_the_whole_set_is_found(peaks):
    grown = peaks[MANY]["copy"][0] - peaks[FEW]["copy"][0]
    assert grown == pytest.approx((MANY - FEW) * MAP_MIB, rel=0.2)
    assert owned(peaks, "copy") > LIMIT_MIB


def test_mapped_pages_grow_with_the_maps_and_no_further(peaks):
    base = peaks[FEW]["copy"][1] - FEW * MAP_MIB  # the libraries' own files
    assert 0 < base < 1000
    assert peaks[MANY]["copy"][1] == pytest.approx(base + MANY * MAP_MIB, rel=0.2)
