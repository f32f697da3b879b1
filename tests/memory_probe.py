"""Work on features of 10x10x512 maps that lie in a file, and print the largest memory of each kind of work, in MiB.

A program of its own, since a process has one memory: `python memory_probe.py FILE.npy N` for the first N maps.
"""

import json
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchfw import FeatureSet, FeatureSpace, training
from benchfw.fidelity import fidelity

K = 3  # so that a class of 1,000 maps fills a block of 64 MiB


def anonymous_and_file():
    """RssAnon and RssFile of this process, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))}
    return kib["RssAnon"] / 2**10, kib["RssFile"] / 2**10


class Peak(threading.Thread):
    """Looks at the memory 200 times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopped, self.anonymous, self.file = threading.Event(), 0.0, 0.0

    def look(self):
        now = anonymous_and_file()
        self.anonymous, self.file = max(self.anonymous, now[0]), max(self.file, now[1])

    def run(self):
        while not self.stopped.wait(0.005):
            self.look()


def peak(work):
    watching = Peak()
    watching.start()
    work()
    watching.look()
    watching.stopped.set()
    watching.join()
    return watching.anonymous, watching.file


def features(path, count):
    """The first maps of a file, mapped into memory as the stage cache's are."""
    values = torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False)[:count])
    return FeatureSet(FeatureSpace((512, 10, 10), K), values, torch.arange(count) % K)


def stream(train):
    for _ in training.stream(train, steps=50, batch=40, seed=0):
        pass


def gan_scaling(train):
    from benchfw_gan_feature.scaling import measure

    measure(train)


def judged(train):
    """Fidelity, with the maps on both sides; a class less, so that some have rows missing."""
    labels = train.labels.clone()
    labels[labels.eq(2).nonzero()[::2, 0]] = 0
    train = FeatureSet(train.space, train.values, labels)
    fidelity(train.draw, train, train, seed=0)


WORKS = {
    "stream": stream,
    "scale": FeatureSet.scale,
    "gan-feature": gan_scaling,
    "fidelity": judged,
    "copy": FeatureSet.numpy,  # the whole set at once: what the test's limit must find
}


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    train = features(path, count)
    json.dump({name: peak(partial(work, train)) for name, work in WORKS.items()}, sys.stdout)


if __name__ == "__main__":
    main()
