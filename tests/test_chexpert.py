"""The data set chexpert: labels against CheXpert's real table, parts without a shared patient, cached pixels."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from chexpert_tree import CLASSES, FOLDER, row, write_tree
from commands import rows
from made_files import guide_commands, says
from PIL import Image

from benchfw import Context, DataError, UsageError
from benchfw_datasets import CheXpert, chexpert, chexpert_table

PACKAGE = find_spec("torchxrayvision")  # found without importing it, since it loads far more than the table
CLIENT = """
import sys, time, torch
from pathlib import Path
from benchfw import Context
from benchfw_datasets import CheXpert, pixel_cache
pixel_cache.BLOCK = 4
tree, downloads, hang_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
seen = []
def report(done, total):
    print(done, flush=True)
    seen.append(done)
    time.sleep(60 if done == hang_at else 0.005)
data = CheXpert(root=str(tree), size=16).load(Context(0, torch.device("cpu"), downloads, report=report))
print("decoded", len(seen), data.fingerprint)
"""


@pytest.fixture
def tree(tmp_path):
    """A tree of 60 patients."""
    return write_tree(tmp_path / "data")


@pytest.fixture(scope="module")
def real_table():
    """CheXpert's own label table, 223,414 rows; the tests are skipped without the package that carries it."""
    if PACKAGE is None:
        pytest.skip("torchxrayvision is not installed")
    place = Path(PACKAGE.submodule_search_locations[0]) / "data" / "chexpert_train.csv.gz"
    return chexpert_table.read(place, CLASSES)


def counts(data):
    """Images of each class in each part."""
    return {name: part.labels.bincount(minlength=data.n_classes).tolist() for name, part in data.parts.items()}


def patients(data):
    return {name: set(part.groups.tolist()) for name, part in data.parts.items()}


def decoded(dataset, downloads):
    """Load, and say which images were decoded: the data set and the numbers that progress was told."""
    seen = []
    ctx = Context(0, torch.device("cpu"), downloads, report=lambda done, total: seen.append(done))
    return dataset.load(ctx), seen


def first_images(tree, dataset, n):
    """The first images of training, as paths."""
    choice = dataset._choice()
    return [tree / path for path in chexpert.chosen(tree, choice).paths[:n]]


def client(tree, downloads, hang_at=0):
    words = [sys.executable, "-c", CLIENT, str(tree), str(downloads), str(hang_at)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


# labels


@pytest.mark.parametrize(
    ("uncertain", "views", "wanted"),
    [
        ("zeros", "all", [11_526, 8_001, 5_177, 16_145, 39_411, 22_381]),
        ("zeros", "frontal", [9_964, 6_374, 4_354, 15_358, 34_156, 16_974]),
        ("ones", "all", [12_044, 6_862, 5_666, 16_563, 30_435, 22_381]),
        ("ones", "frontal", [10_173, 5_187, 4_497, 15_595, 25_914, 16_974]),
        ("ignore", "all", [8_369, 4_911, 3_718, 11_899, 26_756, 22_381]),
    ],
)
def test_the_real_table_gives_the_counts_that_were_found_in_it(real_table, uncertain, views, wanted):
    samples = chexpert_table.single_label(real_table, CLASSES, uncertain=uncertain, views=views)
    assert chexpert_table.class_counts(samples, 6) == wanted


def test_the_real_table_has_the_reports_counts_in_patient_disjoint_parts(real_table):
    samples = chexpert_table.single_label(real_table, CLASSES, uncertain="zeros", views="frontal")
    sizes = chexpert.choice(*reports_parameters(), val=400, test=400, seed=0).sizes
    assert chexpert_table.fitting(chexpert_table.class_counts(samples, 6), sizes) == sizes
    parts = chexpert_table.parts(samples, sizes, seed=0)
    found = {part: chexpert_table.class_counts(rows, 6) for part, rows in parts.items()}
    assert found == {"train": [5400, 5400, 2700, 9500, 13500, 3000], "val": [400] * 6, "test": [400] * 6}
    seen = [set(rows["patient"]) for rows in parts.values()]
    assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])


def reports_parameters():
    default = CheXpert()
    return default.classes, default.uncertain, default.views, default.caps


TABLE = [
    row(1, {"Edema": 1.0}),
    row(2, {"Edema": 1.0, "Consolidation": 1.0}),  # two of the classes
    row(3, {"Edema": 0.0, "Fracture": 1.0}),  # none
    row(4, {"No Finding": 1.0, "Support Devices": 1.0, "Edema": 0.0}),  # others do not count
    row(5, {"Edema": -1.0}),
    row(6, {"Edema": 1.0, "Consolidation": -1.0}),
    row(7, {"Consolidation": 1.0, "Fracture": -1.0}),  # uncertain, but none of the classes
    row(8, {"Consolidation": 1.0}, view="lateral"),
]


@pytest.mark.parametrize(
    ("uncertain", "views", "wanted"),
    [
        ("zeros", "frontal", {1: 0, 4: 2, 6: 0, 7: 1}),
        ("ones", "frontal", {1: 0, 4: 2, 5: 0, 7: 1}),
        ("ignore", "frontal", {1: 0, 4: 2, 7: 1}),
        ("zeros", "all", {1: 0, 4: 2, 6: 0, 7: 1, 8: 1}),
    ],
)
def test_an_image_counts_if_exactly_one_class_is_positive(tmp_path, uncertain, views, wanted):
    tree, classes = write_tree(tmp_path, rows=TABLE), ("Edema", "Consolidation", "No Finding")
    table = chexpert_table.read(tree / "train.csv", classes)
    samples = chexpert_table.single_label(table, classes, uncertain=uncertain, views=views)
    assert dict(zip(samples["patient"], samples["label"], strict=True)) == wanted


# parts


def test_no_patient_is_in_two_parts_and_groups_are_the_patients(ctx, tree):
    data = CheXpert(root=str(tree), size=16).load(ctx)
    found = patients(data)
    assert not (found["train"] & found["val"] | found["train"] & found["test"] | found["val"] & found["test"])
    assert set.union(*found.values()) <= set(range(1, 61))
    assert len(found["train"]) > 20


def test_held_out_classes_are_equal_and_capped_ones_exact(ctx, tmp_path):
    tree = write_tree(tmp_path / "data", patients=120)
    data = CheXpert(root=str(tree), size=8, caps="9,8,7,6,5,4", val=3, test=5).load(ctx)
    assert counts(data) == {"train": [9, 8, 7, 6, 5, 4], "val": [3] * 6, "test": [5] * 6}
    assert ctx.warnings == []
    one = CheXpert(root=str(tree), size=8, caps="6", val=3, test=5).load(ctx)
    assert counts(one)["train"] == [6] * 6


def test_what_held_out_patients_have_beside_is_given_to_no_part(ctx, tree):
    data = CheXpert(root=str(tree), size=8, caps=None, val=3, test=3).load(ctx)
    table = chexpert_table.read(tree / "train.csv", CLASSES)
    usable = chexpert_table.single_label(table, CLASSES, uncertain="zeros", views="frontal")
    held = patients(data)["val"] | patients(data)["test"]
    assert len(data.train) == int((~usable["patient"].isin(held)).sum())
    assert len(data.val) + len(data.test) == 36 < int(usable["patient"].isin(held).sum())


def test_the_test_part_depends_on_the_seed_and_on_no_other_part(ctx, tree):
    def test_images(**parameters):
        data = CheXpert(root=str(tree), size=8, test=3, **parameters).load(ctx)
        return data.test.rows(torch.arange(len(data.test)))

    default = test_images()
    assert torch.equal(default, test_images(val=0))
    assert torch.equal(default, test_images(caps="4", val=1))
    assert not torch.equal(default, test_images(split_seed=1))


def test_the_parts_do_not_depend_on_the_order_of_the_table(ctx, tree):
    before = CheXpert(root=str(tree), size=8).load(ctx).fingerprint
    table = pd.read_csv(tree / "train.csv", dtype=str)
    table.sample(frac=1, random_state=0).to_csv(tree / "train.csv", index=False)
    assert CheXpert(root=str(tree), size=8).load(ctx).fingerprint == before


def test_the_preset_report_has_no_validation_part(ctx, tree):
    data = CheXpert(root=str(tree), size=8, **CheXpert.presets["report"]).load(ctx)
    assert list(data.parts) == ["train", "test"]
    assert "validation" not in CheXpert(**CheXpert.presets["report"]).gives
    assert "validation" in CheXpert().gives


def test_the_report_s_experiment_trains_on_all_that_is_not_test(ctx, here, home):
    tree = write_tree(home.path / "data")
    data = CheXpert(root=str(tree), size=8, val=0).load(ctx)
    smaller = ("-e", "pixels", "-c", "linear@steps=5", "-a", "none", "--no-reference", "--repetitions", 1)
    words = ("run", "chexpert-report", "--set", "dataset.chexpert.root=data", "--set", "dataset.chexpert.size=8")
    assert here(*words, *smaller, "--set", "adapt=flatten", "--in-process", "--out", "out").code == 0
    (done,) = rows(home.path / "out")
    found = {"train": done["counts"], "test": done["test_counts"]}
    assert found == counts(data)


def test_the_harness_makes_the_test_part_where_none_is_wanted(ctx, tree):
    assert list(CheXpert(root=str(tree), size=8, test=0).load(ctx).parts) == ["train", "val"]


def test_a_small_tree_has_smaller_parts_and_says_so(ctx, tree):
    data = CheXpert(root=str(tree), size=8).load(ctx)
    usable = [21, 19, 20, 19, 28, 30]
    found = counts(data)
    assert found["val"] == found["test"] == [min(usable) // 5] * 6
    images = ", ".join(f"{name} {count}" for name, count in zip(CLASSES, usable, strict=True))
    train = "/".join(map(str, found["train"]))
    (warning,) = ctx.warnings
    assert warning == (
        f"chexpert: too few images ({images}), so the parts are smaller: train has {train} of "
        "5400/5400/2700/9500/13500/3000; val has 3 a class of 400 a class; test has 3 a class of 400 a class"
    )


def test_a_class_with_too_few_patients_is_refused(ctx, tmp_path):
    rows = [row(n, {CLASSES[n % 2]: 1.0}) for n in range(1, 21)] + [row(50, {"Edema": 1.0}, study=n) for n in (1, 2)]
    tree = write_tree(tmp_path / "data", rows=rows)
    with says(
        f"chexpert: {tree}/train.csv: class 'Edema' has no image left for train (of 2 with this label alone); wants at "
        "least one patient for each part: lower val and test, leave it out of classes, or try another split_seed, all "
        "with --set dataset.chexpert.NAME=VALUE"
    ):
        CheXpert(root=str(tree), classes="Atelectasis,Cardiomegaly,Edema", caps=None).load(ctx)


# pixels


def test_images_are_resized_as_pillow_does_and_gray_is_kept_once(ctx, tree):
    dataset = CheXpert(root=str(tree), size=16)
    data = dataset.load(ctx)
    for n, path in enumerate(first_images(tree, dataset, 5)):
        wanted = np.array(Image.open(path).convert("L").resize((16, 16), Image.Resampling.BILINEAR))
        assert np.array_equal(data.train.rows(torch.tensor([n])).numpy(), np.stack([wanted] * 3)[None])
    assert data.train.pool.stride(1) == 0  # the three channels are one memory
    assert data.train.pool.data_ptr() == data.test.pool.data_ptr()


def test_one_channel_has_the_pixels_of_three(ctx, tree):
    one, three = (CheXpert(root=str(tree), size=16, channels=c).load(ctx) for c in (1, 3))
    index = torch.arange(len(one.val))
    assert one.val.image_shape == (1, 16, 16)
    assert torch.equal(one.val.rows(index).expand(-1, 3, -1, -1), three.val.rows(index))


@pytest.mark.parametrize("folder", ["CheXpert-v1.0-small", "CheXpert-v1.0", "ours"])
def test_the_tree_is_found_under_any_name_and_from_the_folder_above(ctx, tmp_path, folder):
    tree = write_tree(tmp_path / "data", folder=folder)
    prints = {CheXpert(root=str(root), size=8).load(ctx).fingerprint for root in (tree, tree.parent)}
    assert len(prints) == 1


def test_the_labels_belong_to_their_images(ctx, tree):
    data = CheXpert(root=str(tree), size=8).load(ctx)
    means = data.train.rows(torch.arange(len(data.train))).float().mean((1, 2, 3))
    assert [round((float(means[data.train.labels == c].mean()) - 30) / 30) for c in range(6)] == list(range(6))


# the cache of pixels


def test_a_second_load_decodes_nothing(tree, tmp_path):
    dataset = CheXpert(root=str(tree), size=16)
    first, decodes = decoded(dataset, tmp_path)
    assert decodes == list(range(1, len(decodes) + 1))
    assert len(decodes) == sum(map(len, first.parts.values()))
    again, decodes = decoded(dataset, tmp_path)
    assert (again.fingerprint, decodes) == (first.fingerprint, [])


def test_a_changed_image_changes_the_inventory_and_is_decoded_again_alone(tree, tmp_path):
    dataset = CheXpert(root=str(tree), size=16)
    decoded(dataset, tmp_path)
    table, inventory = dataset.files(tmp_path)
    assert table == tree / "train.csv"
    before, written = inventory.read_bytes(), inventory.stat().st_mtime_ns
    dataset.files(tmp_path)
    assert inventory.stat().st_mtime_ns == written
    changed = first_images(tree, dataset, 3)[2]
    Image.fromarray(np.full((24, 30), 7, np.uint8)).save(changed)
    assert dataset.files(tmp_path)[1].read_bytes() != before
    data, decodes = decoded(dataset, tmp_path)
    assert len(decodes) == 1
    assert data.train.rows(torch.tensor([2])).unique().tolist() == [7]


def test_the_inventory_lists_the_images_in_use_and_no_others(tree, tmp_path):
    dataset = CheXpert(root=str(tree), size=8, caps="2", val=1, test=1)
    lines = dataset.files(tmp_path)[1].read_text().splitlines()
    assert len(lines) == 4 * 6
    path, size, modified = lines[0].split("\t")
    stat = (tree / path).stat()
    assert (int(size), int(modified)) == (stat.st_size, stat.st_mtime_ns)


def test_another_size_or_seed_has_a_folder_of_its_own(tree, tmp_path):
    folders = {
        CheXpert(root=str(tree), **parameters).files(tmp_path)[1].parent
        for parameters in ({"size": 8}, {"size": 16}, {"size": 8, "split_seed": 1}, {"size": 8, "channels": 1})
    }
    assert len(folders) == 3


def test_a_killed_process_loses_at_most_a_block(tree, tmp_path):
    process = client(tree, tmp_path / "killed", hang_at=10)
    for line in process.stdout:
        if line == "10\n":
            break
    process.kill()
    process.communicate()
    data, decodes = decoded(CheXpert(root=str(tree), size=16), tmp_path / "killed")
    whole, _ = decoded(CheXpert(root=str(tree), size=16), tmp_path / "whole")
    assert decodes[0] == 9  # two blocks of 4 were finished
    assert data.fingerprint == whole.fingerprint


def test_a_process_waits_for_another_one_and_decodes_nothing_again(tree, tmp_path):
    other = client(tree, tmp_path / "shared")
    assert other.stdout.readline() == "1\n"  # it is at work
    data, decodes = decoded(CheXpert(root=str(tree), size=16), tmp_path / "shared")
    word, count, fingerprint = other.communicate(timeout=60)[0].splitlines()[-1].split()
    assert (word, fingerprint, decodes) == ("decoded", data.fingerprint, [])
    assert int(count) == sum(map(len, data.parts.values()))


@pytest.mark.parametrize("name", ["pixels.npy", "marks.npy"])
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_cache_is_made_anew(tree, tmp_path, name, damage):
    dataset = CheXpert(root=str(tree), size=16)
    whole, decodes = decoded(dataset, tmp_path)
    file = dataset.files(tmp_path)[1].parent / name
    if damage == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.unlink()
    again, repeated = decoded(dataset, tmp_path)
    assert again.fingerprint == whole.fingerprint
    assert decodes[-1] == repeated[-1]


def test_a_cache_that_cannot_be_written_is_said(ctx, tree, tmp_path):
    (tmp_path / "chexpert").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"^chexpert: .* cannot be written \(.*\); make room, or choose another place"):
        CheXpert(root=str(tree)).load(ctx)
    with pytest.raises(DataError, match=r"^chexpert: .* cannot be written"):
        CheXpert(root=str(tree)).files(tmp_path)


# broken images


@pytest.fixture
def broken(tree):
    """The data set of a tree whose first image is missing and whose third is cut short, and those two."""
    dataset = CheXpert(root=str(tree), size=16)
    images = first_images(tree, dataset, 3)
    images[0].unlink()
    os.truncate(images[2], 300)
    return dataset, images[0], images[2]


def test_broken_images_are_counted_and_named(ctx, tree, broken):
    dataset, *images = broken
    names = ", ".join(image.relative_to(tree).as_posix() for image in images)
    total = len(chexpert.chosen(tree, dataset._choice()).paths)
    listed = broken_list(dataset, ctx)
    for _ in range(2):  # a second look finds them as broken as the first
        with says(
            f"chexpert: 2 of {total} images cannot be read: {names} (No such file or directory); all of them are "
            f"listed in {listed}; unpack them again, or leave them out with --set dataset.chexpert.broken=skip"
        ):
            dataset.load(ctx)


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_all_broken_images_are_listed_in_a_file_with_their_reasons_until_they_are_repaired(ctx, tree, policy):
    dataset = CheXpert(root=str(tree), size=16, broken=policy, val=0)
    images = first_images(tree, dataset, 5)
    for image in images:
        image.write_bytes(b"")
    said = loaded_or_refused(dataset, ctx)
    listed = broken_list(dataset, ctx)
    assert "5 of " in said
    assert f"; all of them are listed in {listed}; " in said
    wanted = [f"{image.relative_to(tree).as_posix()}\tno image that Pillow knows" for image in images]
    assert listed.read_text().splitlines() == wanted
    for image in images:
        Image.fromarray(np.zeros((24, 30), np.uint8)).save(image)
    dataset.load(ctx)
    assert not listed.exists()


def broken_list(dataset, ctx):
    """Where the list of broken images is."""
    return dataset.files(ctx.downloads)[1].with_name("broken.tsv")


def loaded_or_refused(dataset, ctx):
    """The last warning, or the error."""
    try:
        dataset.load(ctx)
    except DataError as error:
        return str(error)
    return ctx.warnings[-1]


@pytest.mark.parametrize("deep", [np.uint16, np.int32, np.float32])
def test_an_image_of_more_than_8_bits_is_broken_and_not_cut_off(ctx, tree, deep):
    dataset = CheXpert(root=str(tree), size=16)
    (image,) = first_images(tree, dataset, 1)
    Image.fromarray(np.full((24, 30), 30_000, deep)).save(image, format="TIFF")
    name = image.relative_to(tree).as_posix()
    assert f" images cannot be read: {name} (more than 8 bits a channel); " in loaded_or_refused(dataset, ctx)


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_part_that_loses_a_class_to_broken_images_is_refused(ctx, tree, part, whole):
    dataset = CheXpert(root=str(tree), size=16, broken="skip")
    lines = chexpert.chosen(tree, dataset._choice()).parts[part]
    lost = lines if whole else lines[lines["label"] == 3]
    for path in lost["path"]:
        (tree / path).unlink()
    c = 0 if whole else 3
    count = int((lines["label"] == c).sum())
    with says(
        f"chexpert: {tree}: all {count} images of class {CLASSES[c]!r} in {part} are broken; "
        f"wants at least one that can be read: unpack those that {broken_list(dataset, ctx)} lists again, or leave the "
        "class out with --set dataset.chexpert.classes=NAMES"
    ):
        dataset.load(ctx)


def test_broken_images_can_be_left_out(ctx, tree, broken, tmp_path):
    whole, _ = decoded(CheXpert(root=str(write_tree(tmp_path / "other")), size=16), tmp_path)
    data = CheXpert(root=str(tree), size=16, broken="skip").load(ctx)
    assert len(data.train) == len(whole.train) - 2
    keep = torch.tensor([n for n in range(len(whole.train)) if n not in (0, 2)])
    assert torch.equal(data.train.rows(torch.arange(len(data.train))), whole.train.rows(keep))
    assert torch.equal(data.train.labels, whole.train.labels[keep])
    assert data.test.labels.tolist() == whole.test.labels.tolist()
    assert ctx.warnings[-1].startswith("chexpert: 2 of ")
    assert "(No such file or directory); all of them are listed in " in ctx.warnings[-1]
    assert ctx.warnings[-1].endswith("broken.tsv; they are left out, so the parts are smaller")


def test_a_repaired_image_is_used(tree, broken, tmp_path):
    dataset, missing, cut = broken
    for image in (missing, cut):
        Image.fromarray(np.full((24, 30), 7, np.uint8)).save(image)
    data, _ = decoded(dataset, tmp_path)
    assert data.train.rows(torch.tensor([0, 2])).unique().tolist() == [7]


# what is wrong


def test_without_a_tree_it_says_where_to_register_and_where_to_put_the_files(ctx, tmp_path):
    wants = (
        "wants the folder with train.csv and train/patient00001/study1/view1_frontal.jpg; "
        "give it with --set dataset.chexpert.root=DIR"
    )
    for call in (lambda: CheXpert().load(ctx), lambda: CheXpert().files(tmp_path)):
        with says(
            f"dataset.chexpert.root: wants a path, found none; {wants}. The images come from Stanford AIMI (CheXpert): "
            "register there and accept its Research Use Agreement",
            UsageError,
        ):
            call()
    with says(
        f"chexpert: {tmp_path}/absent: no train.csv there or one folder below; {wants}. To get the images, register at "
        "Stanford AIMI (CheXpert), accept its Research Use Agreement, and unpack CheXpert-v1.0-small or CheXpert-v1.0"
    ):
        CheXpert(root=str(tmp_path / "absent")).files(tmp_path)


def test_two_trees_in_one_folder_are_not_guessed_between(ctx, tmp_path):
    for folder in ("CheXpert-v1.0", FOLDER):
        write_tree(tmp_path / "data", folder=folder, patients=6)
    with says(
        f"chexpert: {tmp_path}/data: found CheXpert-v1.0, CheXpert-v1.0-small; wants one of them; name it with "
        "--set dataset.chexpert.root=DIR"
    ):
        CheXpert(root=str(tmp_path / "data")).load(ctx)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"classes": "Edema"}, "classes: wants at least 2 different names, found 'Edema'"),
        ({"classes": "Edema, Edema"}, "classes: wants at least 2 different names, found 'Edema, Edema'"),
        (
            {"classes": "Edema,No finding", "caps": None},
            (
                "classes: 'No finding' is no column of the table; known: No Finding, Enlarged Cardiomediastinum, "
                "Cardiomegaly, Lung Opacity, Lung Lesion, Edema, Consolidation, Pneumonia, Atelectasis, Pneumothorax, "
                "Pleural Effusion, Pleural Other, Fracture, Support Devices"
            ),
        ),
        (
            {"classes": "Edema,No Finding"},
            (
                "caps: wants one count, or one for each of the 2 classes, all >= 1, or none; "
                "found '5400,5400,2700,9500,13500,3000'"
            ),
        ),
        (
            {"caps": "1,2,0,4,5,6"},
            "caps: wants one count, or one for each of the 6 classes, all >= 1, or none; found '1,2,0,4,5,6'",
        ),
        ({"caps": "many"}, "caps: wants one count, or one for each of the 6 classes, all >= 1, or none; found 'many'"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(ctx, tree, parameters, message):
    with says(f"dataset.chexpert.{message}", UsageError):
        CheXpert(root=str(tree), **parameters).load(ctx)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Path,Edema\n", "lacks the column 'Frontal/Lateral'; wants CheXpert's train.csv"),
        ("", "cannot be read as CheXpert's table (No columns to parse from file); copy it again"),
        (
            "Path,Frontal/Lateral,Edema,Fracture\na/patient1/b.jpg,Frontal,2.0,\n",
            "column 'Edema' has 2.0; wants 1.0, 0.0, -1.0 or blank; copy the table again",
        ),
        (
            "Path,Frontal/Lateral,Edema,Fracture\n,Frontal,1.0,\n",
            "line 2 has no Path; copy the table again",
        ),
        (
            "Path,Frontal/Lateral,Edema,Fracture\na/b.jpg,Frontal,1.0,\n",
            "Path 'a/b.jpg' names no patient; wants <folder>/train/patient00001/study1/view1_frontal.jpg",
        ),
    ],
)
def test_a_table_that_is_not_chexperts_is_refused_in_one_line(ctx, tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    with says(f"chexpert: {tmp_path}/train.csv: {message}"):
        CheXpert(root=str(tmp_path), classes="Edema,Fracture", caps=None).load(ctx)


# the guide


@pytest.mark.parametrize("words", guide_commands("chexpert.md"), ids=" ".join)
def test_a_command_of_the_guide_is_understood(here, home, words):
    write_tree(home.path / "data")
    rows = [row(n, {name: 1.0}) for n, name in enumerate(("Edema", "Pneumothorax", "No Finding") * 4, 1)]
    if "Pneumothorax" in " ".join(words):
        write_tree(home.path / "data", rows=rows)
    done = here("plan", *words[1:])
    assert (done.code, done.err) == (0, "")
    assert "chexpert" in done.out


def test_the_counts_of_the_guide_are_those_of_the_table(real_table):
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "chexpert.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (zeros|ones|ignore) \| (frontal|all) \| (.*) \|$", page, re.MULTILINE)
    assert len(lines) == 5
    for uncertain, views, shown in lines:
        samples = chexpert_table.single_label(real_table, CLASSES, uncertain=uncertain, views=views)
        assert [f"{count:,}" for count in chexpert_table.class_counts(samples, 6)] == shown.split(" | ")


def test_the_images_of_chexpert_are_not_passed_on(tree, ctx):
    """Its agreement forbids it, so a report shows none unless its reader asks for them."""
    assert CheXpert(root=str(tree), size=16).load(ctx).source.public is False
