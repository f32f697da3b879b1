"""What installed plugins cost: `benchfw list` beside 50 light ones; `--help`, `table`, `check` beside slow ones.

In each group `none` is the same command without them, and the ratio to it is the result: at most 2 for `list`, and 1
for commands that need no plugin. Nothing is asserted about time.
"""

import os
import subprocess
import sys

import pytest
from third_party import write_at

LIGHT = '''
from dataclasses import dataclass
from benchfw import Context, FeatureSet, Synthesizer, hookimpl, param

@hookimpl
def register_augmenters(register):
    register(Own)

@dataclass(frozen=True)
class Own(Synthesizer):
    """Repeat rows of the small classes, each time with fresh Gaussian noise."""

    name = "NAME"
    source = "noise injection"

    scale: float = param(0.1, "noise, in standard deviations of the training features", ge=0)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context):
        return train.draw
'''
SLOW = "import time\ntime.sleep(5)\n"


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """What stands on PYTHONPATH: nothing, 50 light plugins, or one that raises, one that exits and one that sleeps."""
    none, light, foreign = (tmp_path_factory.mktemp(name) for name in ("none", "light", "foreign"))
    for number in range(50):
        write_at(light, f"light{number}", LIGHT.replace("NAME", f"light-{number}"))
    for name, source in {"raises": "1 / 0", "leaves": "import sys\nsys.exit()", "sleeps": SLOW}.items():
        write_at(foreign, name, source + LIGHT.replace("NAME", name) * (name == "sleeps"))
    return {"none": none, "light": light, "foreign": foreign}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A finished run of one second."""
    import benchfw

    settings = {"repetitions": 2, "classifier.linear.steps": 5}
    axes = {"extractors": ["pixels"], "augmenters": ["smote"], "classifiers": ["linear"]}
    out = tmp_path_factory.mktemp("run") / "out"
    return benchfw.run("quick", **axes, settings=settings, out=out, cache="off").directory


def said(site, *words):
    command, environment = [sys.executable, "-m", "benchfw", *map(str, words)], os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.benchmark(group="list", min_rounds=10, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("plugins", ["none", "light"])
def test_list_beside_fifty_light_plugins(plugins, benchmark, sites):
    assert benchmark(said, sites[plugins], "list").count("light-") == (50 if plugins == "light" else 0)


@pytest.mark.benchmark(group="--help", min_rounds=10, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("plugins", ["none", "foreign"])
def test_help_beside_slow_and_broken_plugins(plugins, benchmark, sites):
    assert "calibrate" in benchmark(said, sites[plugins], "--help")


@pytest.mark.benchmark(group="table", min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("plugins", ["none", "foreign"])
def test_table_beside_slow_and_broken_plugins(plugins, benchmark, sites, results):
    assert "smote" in benchmark(said, sites[plugins], "table", results)


@pytest.mark.benchmark(group="check", min_rounds=5, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize("plugins", ["none", "foreign"])
def test_check_beside_slow_and_broken_plugins(plugins, benchmark, sites, results, tmp_path):
    baseline = tmp_path / "baseline.json"
    said(sites["none"], "check", results, "--baseline", baseline, "--update", "--reason", "first")
    assert "passed" in benchmark(said, sites[plugins], "check", results, "--baseline", baseline)
