"""A key changes with everything that decides a result, and with nothing else."""

import os
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest
import torch

from benchfw import Dataset, hookimpl, param
from benchfw.experiment import Experiment, apply_settings, changed
from benchfw.keys import _digest, _loaded_digest, content_digest, contents, keys_of
from benchfw.plan import cells
from benchfw.registry import Registry, installed

STAGES = ("embed", "augment", "fidelity", "cell")
SMALL = Experiment(
    name="small",
    datasets=("digits",),
    imbalances=("step:20",),
    extractors=("lenet5",),
    augmenters=("smote",),
    classifiers=("linear",),
    repetitions=1,
    references=False,
)
CODE = '''"""A plugin."""

from dataclasses import dataclass

from benchfw import Synthesizer, hookimpl, param


@hookimpl
def register_augmenters(register):
    """Register it."""
    register(Jitter)


@dataclass(frozen=True)
class Jitter(Synthesizer):
    """Repeat minority rows with noise."""

    name = "jitter"
    scale: float = param(0.1, "noise")

    def fit(self, train, val, ctx):
        """Return the draw."""
        return lambda labels, rng: train.draw(labels, rng) * (1 + self.scale)  # crude
'''
numbers = count()


def keys(*settings, registry=None, device="cpu", **axes):
    """The keys of the only cell of the small experiment with these changes."""
    (cell,) = cells(apply_settings(changed(SMALL, "test", axes), settings), registry or installed())
    return keys_of(cell, torch.device(device), downloads=None)


def moved(before, after):
    """The stages whose keys differ."""
    return [stage for stage in STAGES if getattr(before, stage) != getattr(after, stage)]


def test_the_same_cell_has_the_same_keys():
    assert keys() == keys()


def test_the_four_keys_differ():
    assert len({getattr(keys(), stage) for stage in STAGES}) == 4


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"datasets": ["fashion-mnist"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"imbalances": ["step:10"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"imbalances": ["step:20:permuted"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"imbalances": ["exp:20"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"extractors": ["lenet5@steps=10"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"extractors": ["pixels"]}, ["embed", "augment", "fidelity", "cell"]),
        ({"augmenters": ["smote@k=3"]}, ["augment", "fidelity", "cell"]),
        ({"augmenters": ["smote@fill=0.5"]}, ["cell"]),  # all fills share one fit
        ({"augmenters": ["eos"]}, ["augment", "fidelity", "cell"]),
        ({"classifiers": ["linear@lr=1e-2"]}, ["cell"]),
        ({"classifiers": ["head"]}, ["cell"]),
    ],
)
def test_a_component_and_its_parameters_move_their_stage_and_the_later_ones(changes, stages):
    assert moved(keys(), keys(**changes)) == stages


@pytest.mark.parametrize(
    ("setting", "stages"),
    [
        ("seed=1", ["embed", "augment", "fidelity", "cell"]),
        ("test_fraction=0.3", ["embed", "augment", "fidelity", "cell"]),
        ("val_fraction=0", ["embed", "augment", "fidelity", "cell"]),
        ("reseed=1", ["embed", "augment", "fidelity", "cell"]),
        ("threads=2", ["embed", "augment", "fidelity", "cell"]),
        ("adapt=pool", ["cell"]),
        ("many_over=50", ["cell"]),
        ("few_under=5", ["cell"]),
        ("name=another", []),
        ("description=another", []),
        ("metric=accuracy", []),
    ],
)
def test_a_setting_moves_the_stages_whose_result_it_decides(setting, stages):
    assert moved(keys(), keys(setting)) == stages


def test_a_repetition_moves_every_stage():
    first, second = cells(apply_settings(SMALL, ("repetitions=2",)), installed())
    device = torch.device("cpu")
    assert moved(keys_of(first, device, None), keys_of(second, device, None)) == list(STAGES)


def test_other_axes_of_the_experiment_move_nothing():
    wider = changed(
        SMALL, "test", {"augmenters": ["smote", "eos"], "repetitions": 4, "imbalances": ["step:20", "exp:5"]}
    )
    found = cells(wider, installed())[0]
    assert keys_of(found, torch.device("cpu"), None) == keys()


def test_the_code_of_fidelity_moves_its_stage_and_the_rows_and_no_fit(monkeypatch):
    before = keys()
    monkeypatch.setattr("benchfw.keys.FIDELITY", ("benchfw.fidelity", "benchfw.lens"))  # as if likeness had changed
    assert moved(before, keys()) == ["fidelity", "cell"]


def test_the_device_class_moves_every_stage():
    assert moved(keys(), keys(device="meta")) == list(STAGES)  # any device that is not the CPU


# ---- files ----


@pytest.fixture
def folder(tmp_path):
    """Three images in two classes, as files of one size."""
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"pixels of {name}")
    return tmp_path / "images"


def folder_keys(folder):
    return keys(datasets=[f'image-folder@path="{folder}"'])


def test_the_content_of_a_file_moves_every_stage(folder):
    before = folder_keys(folder)
    (folder / "cat" / "1.png").write_text("pixels of cow/1.png")
    assert moved(before, folder_keys(folder)) == list(STAGES)


def test_a_file_in_another_class_folder_moves_every_stage(folder):
    before = folder_keys(folder)
    (folder / "cat" / "2.png").rename(folder / "dog" / "2.png")
    assert moved(before, folder_keys(folder)) == list(STAGES)


def test_a_renamed_class_moves_every_stage(folder):
    before = folder_keys(folder)
    (folder / "cat").rename(folder / "lynx")
    assert moved(before, folder_keys(folder)) == list(STAGES)


def test_a_file_more_or_less_moves_every_stage(folder):
    before = folder_keys(folder)
    (folder / "dog" / "2.png").write_text("pixels")
    more = folder_keys(folder)
    (folder / "dog" / "2.png").unlink()
    assert moved(before, more) == list(STAGES)
    assert folder_keys(folder) == before


def test_the_cells_of_a_run_look_at_the_files_together(folder, monkeypatch):
    looked = count()
    files = Named.files
    monkeypatch.setattr(Named, "files", lambda self, downloads: (next(looked), files(self, downloads))[1])
    found = cells(apply_settings(SMALL, ("repetitions=20",)), installed())
    dataset = Named()
    for cell in found:
        keys_of(replace(cell, dataset=dataset), torch.device("cpu"), folder)
    assert next(looked) < len(found) / 2  # once a second


def test_the_time_of_a_file_moves_nothing(folder):
    before = folder_keys(folder)
    os.utime(folder / "cat" / "1.png", (1, 1))
    assert folder_keys(folder) == before


def test_a_file_of_one_size_that_is_rewritten_has_a_new_digest(tmp_path):
    file = tmp_path / "data"
    digests = set()
    for text in ("one", "two", "six"):
        file.write_text(text)
        digests.add(content_digest(file))
    assert len(digests) == 3


@dataclass(frozen=True)
class Named(Dataset):
    """A data set whose files are named by a parameter that the test changes."""

    name = "named"
    path: str = param("", "where")

    def files(self, downloads):
        return sorted(downloads.rglob("*.bin"))


def test_the_place_of_the_downloads_moves_nothing_but_their_content_does(tmp_path):
    @hookimpl
    def register_datasets(register):
        register(Named)

    registry = Registry()
    registry.add(type("Plugin", (), {"register_datasets": staticmethod(register_datasets)})(), "mine")
    (cell,) = cells(SMALL, installed())
    cell = replace(cell, dataset=registry.get("dataset", "named")())
    made = []
    for place, text in (("here", "one"), ("there", "one"), ("elsewhere", "two")):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "a.bin").write_text("a")
        (tmp_path / place / "sub" / "b.bin").write_text(text)
        made.append(keys_of(cell, torch.device("cpu"), tmp_path / place))
    assert made[0] == made[1]
    assert moved(made[0], made[2]) == list(STAGES)


# ---- code ----


@pytest.fixture
def plugin_keys(tmp_path, monkeypatch):
    """keys of `jitter` where its plugin is a package with these files; each call makes a package of its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(files):
        package = f"jitter_plugin_{next(numbers)}"
        for name, source in files.items():
            path = tmp_path / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        registry = Registry()
        registry.add(import_module(package), "mine")
        (cell,) = cells(SMALL, installed())
        return keys_of(replace(cell, augmenter=registry.get("augmenter", "jitter")()), torch.device("cpu"), None)

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A plugin."""', '# Copyright\n"""The plugin,\n\nmore fully."""'),
        ("  # crude", ""),
        ('        """Return the draw."""\n', ""),
        ("Repeat minority rows with noise.", "Say it otherwise."),
        ("import Synthesizer, hookimpl, param", "import (\n    Synthesizer,\n    hookimpl,\n    param,\n)"),
    ],
)
def test_comments_docstrings_and_layout_move_nothing(plugin_keys, old, new):
    assert CODE.count(old) == 1
    assert plugin_keys({"__init__.py": CODE.replace(old, new)}) == plugin_keys({"__init__.py": CODE})


@pytest.mark.parametrize(
    ("old", "new"),
    [("1 + self.scale", "1 - self.scale"), ("lambda labels, rng", "lambda rng, labels"), ('"noise"', '"the noise"')],
)
def test_code_moves_the_stage_and_the_later_ones(plugin_keys, old, new):
    before = plugin_keys({"__init__.py": CODE})
    assert CODE.count(old) == 1
    assert moved(before, plugin_keys({"__init__.py": CODE.replace(old, new)})) == ["augment", "fidelity", "cell"]


def test_a_default_moves_the_stage(plugin_keys):
    before = plugin_keys({"__init__.py": CODE})
    assert moved(before, plugin_keys({"__init__.py": CODE.replace("0.1", "0.2")})) == ["augment", "fidelity", "cell"]


def test_submodules_count_as_deep_as_they_lie(plugin_keys):
    files = {"__init__.py": CODE, "kernels/__init__.py": "", "kernels/draw.py": "FACTOR = 2\n"}
    before = plugin_keys(files)
    assert plugin_keys(files | {"kernels/draw.py": "FACTOR = 2  # twice\n"}) == before
    assert plugin_keys(files | {"notes.txt": "nothing"}) == before
    assert moved(before, plugin_keys(files | {"kernels/draw.py": "FACTOR = 3\n"})) == ["augment", "fidelity", "cell"]
    assert moved(before, plugin_keys(files | {"kernels/more.py": ""})) == ["augment", "fidelity", "cell"]


def test_a_module_of_the_same_name_elsewhere_in_the_package_is_another(plugin_keys):
    at_top = plugin_keys({"__init__.py": CODE, "kernels/__init__.py": "", "turn.py": "FACTOR = 2\n"})
    below = plugin_keys({"__init__.py": CODE, "kernels/__init__.py": "", "kernels/turn.py": "FACTOR = 2\n"})
    assert moved(at_top, below) == ["augment", "fidelity", "cell"]


def test_a_submodule_counts_as_it_was_when_it_was_loaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = f"jitter_plugin_{next(numbers)}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(CODE)
    draw = tmp_path / package / "draw.py"
    made = []
    for source in ("FACTOR = 2\n", "FACTOR = 3.5\n", "FACTOR = 4.25\n"):
        draw.write_text(source)
        made.append(_digest((package,)))
        if source == "FACTOR = 3.5\n":
            assert import_module(f"{package}.draw").FACTOR == 3.5  # as a component does when it is fitted
            assert _digest((package,)) == made[-1]
    assert made[0] != made[1]  # edited before it was loaded: the new code is what runs
    assert made[1] == made[2]  # edited afterwards: the old code still runs


def test_a_plugin_may_be_a_single_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / f"jitter_module_{next(numbers)}.py"
    made = []
    for code in (CODE, CODE.replace("  # crude", ""), CODE.replace("1 +", "2 +")):
        file.write_text(code)
        registry = Registry()
        registry.add(import_module(file.stem), "mine")
        (cell,) = cells(SMALL, installed())
        _loaded_digest.cache_clear()  # as in the next process
        made.append(keys_of(replace(cell, augmenter=registry.get("augmenter", "jitter")()), torch.device("cpu"), None))
    assert made[0] == made[1]
    assert moved(made[1], made[2]) == ["augment", "fidelity", "cell"]


def test_relative_and_absolute_paths_may_stand_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).write_text(name)
    mixed = contents([Path("a"), tmp_path / "b"])
    assert mixed == contents([tmp_path / "a", tmp_path / "b"]) == contents([Path("a"), Path("b")])
    assert [name for name, _ in mixed] == ["a", "b"]
