"""The data set csv: what it reads from a list of images, and what it says when it cannot."""

import numpy as np
import pytest
import torch
from made_files import guide_commands, picture, pixels, saved, says

from benchfw import DataError, UsageError
from benchfw_datasets import Csv, ImageFolder, Npz

IMAGES = pixels(6, 5, 6)
NAMES = ("cat/a", "cat/b", "cat/c", "dog/a", "dog/b", "dog/c")


@pytest.fixture
def listed(tmp_path):
    """Write six gray images of 6x5 and a list of them; gives the function text -> path of the csv file."""
    for name, image in zip(NAMES, IMAGES, strict=True):
        picture(tmp_path / f"{name}.png", image)

    def write(text, **how):
        (tmp_path / "list.csv").write_text(text, **how)
        return str(tmp_path / "list.csv")

    return write


PLAIN = "path,label\n" + "".join(f"{name}.png,{name[:3]}\n" for name in NAMES)


def test_a_list_gives_what_the_folders_give(ctx, tmp_path, listed):
    file = listed(PLAIN)
    data, folders = Csv(path=file).load(ctx), ImageFolder(path=str(tmp_path)).load(ctx)
    assert data.fingerprint == folders.fingerprint
    assert data.class_names == folders.class_names == ("cat", "dog")
    assert data.train.groups is None


def test_split_and_group_are_read(ctx, listed):
    lines = ("cat/a.png,cat,train,p9", "dog/a.png,dog,train,p1", "cat/b.png,cat,test,p2", "dog/b.png,dog,val,p7")
    data = Csv(path=listed("\n".join(("path,label,split,group", *lines)))).load(ctx)
    assert {name: part.labels.tolist() for name, part in data.parts.items()} == {
        "train": [0, 1],
        "val": [1],
        "test": [0],
    }
    assert {name: part.groups.tolist() for name, part in data.parts.items()} == {
        "train": [3, 0],
        "val": [2],
        "test": [1],
    }
    assert np.array_equal(data.test.rows(torch.tensor([0]))[0, 0].numpy(), IMAGES[1])


def test_columns_may_stand_in_any_order_and_lines_be_empty(ctx, listed):
    text = "\ufefflabel, path\r\ncat,cat/a.png\r\n\r\ndog, dog/a.png\r\n"
    data = Csv(path=listed(text, encoding="utf-8", newline="")).load(ctx)
    assert data.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("10", "9"), ("9", "10")),
        (("10", "-9"), ("-9", "10")),
        (("x10", "x9"), ("x10", "x9")),
        (("10", "--5"), ("--5", "10")),
    ],
)
def test_whole_numbers_are_sorted_by_their_value(ctx, listed, labels, names):
    text = "path,label\n" + "".join(f"{name}.png,{labels[n % 2]}\n" for n, name in enumerate(NAMES))
    assert Csv(path=listed(text)).load(ctx).class_names == names


@pytest.mark.parametrize("names", [[str(n) for n in range(11)], [f"n{n}" for n in (0, 1, 10, *range(2, 10))]])
def test_eleven_classes_have_one_order_in_folders_list_and_arrays(ctx, tmp_path, names):
    images = pixels(11, 5, 6)
    for name, image in zip(names, images, strict=True):
        picture(tmp_path / "photos" / name / "a.png", image)
    lines = [f"photos/{name}/a.png,{name}" for name in names]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    arrays = saved(tmp_path / "a.npz", X=images, y=np.array(names))
    sources = (ImageFolder(path=str(tmp_path / "photos")), Csv(path=str(tmp_path / "list.csv")), Npz(path=arrays))
    data = [source.load(ctx) for source in sources]
    assert {one.class_names for one in data} == {tuple(names)}
    assert [one.train.labels.tolist() for one in data] == [list(range(11))] * 3
    assert len({one.fingerprint for one in data}) == 1


def test_paths_may_be_absolute_or_lead_out_of_the_folder(ctx, tmp_path, listed):
    (tmp_path / "lists").mkdir()
    file = tmp_path / "lists" / "list.csv"
    file.write_text(f"path,label\n{tmp_path}/cat/a.png,cat\n../dog/a.png,dog\n")
    data = Csv(path=str(file)).load(ctx)
    assert np.array_equal(data.train.pool.squeeze(1).numpy(), IMAGES[[0, 3]])
    assert Csv(path=str(file)).files(tmp_path) == (file, tmp_path / "cat/a.png", tmp_path / "lists/../dog/a.png")


def test_images_are_resized_as_in_folders(ctx, tmp_path, listed):
    data, folders = Csv(path=listed(PLAIN), size=4).load(ctx), ImageFolder(path=str(tmp_path), size=4).load(ctx)
    assert data.train.image_shape == (1, 4, 4)
    assert data.fingerprint == folders.fingerprint
    assert Csv(path=listed(PLAIN), color="rgb").load(ctx).train.image_shape == (3, 5, 6)


def test_missing_images_are_counted_and_named(ctx, tmp_path, listed):
    file = listed(PLAIN)
    (tmp_path / "cat/b.png").unlink()
    (tmp_path / "dog/c.png").write_text("no image")
    with says(
        f"csv: {file}: 2 of 6 images cannot be read: cat/b.png, dog/c.png (No such file or directory); "
        "replace or remove them"
    ):
        Csv(path=file).load(ctx)
    assert len(Csv(path=file).files(tmp_path)) == 1 + 5


def test_images_of_two_sizes_are_named_with_the_cure(ctx, tmp_path, listed):
    picture(tmp_path / "dog/b.png", pixels(1, 9, 30)[0])
    file = listed(PLAIN)
    with says(
        f"csv: {file}: cat/a.png is 6x5, but dog/b.png is 30x9; wants one size; resize them with "
        "--set dataset.csv.size=64"
    ):
        Csv(path=file).load(ctx)


COLUMNS = "wants path, label and, if any, split and group, and no other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"has the columns nothing; {COLUMNS}"),
        ("path,class\na.png,x\n", f"has the columns path, class; {COLUMNS}"),
        ("path,label,patient\na.png,x,1\n", f"has the columns path, label, patient; {COLUMNS}"),
        ("path,label,label\na.png,x,1\n", f"has the columns path, label, label; {COLUMNS}"),
        ("path,label\na.png,x,1\n", "line 2 has 3 fields; wants 2: path, label"),
        ("path,label\na.png\n", "line 2 has 1 fields; wants 2: path, label"),
        (
            "path,label,group\na.png,x,1\nb.png,x,\n",
            "line 3 has no group; fill it in, or remove the column if you do not need it",
        ),
        ("path,label,split\na.png,x,valid\n", "line 2 has the split 'valid'; wants train, val or test"),
        (
            "path,label,split\na.png,x,train\nb.png,y,train\na.png,x,test\n",
            "lines 2 and 4 list the same image, a.png; remove one of them",
        ),
        ("path,label\na.png,x\n./a.png,y\n", "lines 2 and 3 list the same image, ./a.png; remove one of them"),
        ("path,label\na/../b.png,x\nb.png,y\n", "lines 2 and 3 list the same image, b.png; remove one of them"),
        ("path,label\na.png,x\n", "train has the classes ['x']; wants at least 2"),
        (
            "path,label,split\na.png,x,train\nb.png,y,train\nc.png,z,test\n",
            "line 4 has the label 'z' in test, which train lacks",
        ),
        ('path,label\na.png,"x\n', "cannot be read (unexpected end of data); wants csv in UTF-8"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(ctx, listed, text, message):
    file = listed(text)
    with says(f"csv: {file}: {message}"):
        Csv(path=file).load(ctx)


def test_a_list_that_is_no_text_is_refused(ctx, tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match=r"list\.csv: cannot be read \('utf-8' codec .*\); wants csv in UTF-8$"):
        Csv(path=str(tmp_path / "list.csv")).files(tmp_path)


def test_without_a_path_it_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.csv.path=FILE or csv@path=FILE"
    for call in (lambda: Csv().load(ctx), lambda: Csv().files(tmp_path)):
        with says(f"dataset.csv.path: wants a path, found none; {cure}", UsageError):
            call()


def test_the_same_images_as_folders_list_and_arrays_give_the_same_table(here, home):
    """From end to end, with components that draw nothing: the name of the data set enters every seed."""
    root, images, arrays = home.path, brightness(72), {}
    lines = ["path,label,split"]
    for part, index in (("train", np.arange(48)), ("test", np.arange(48, 72))):
        names = np.array(["high", "low", "mid"])[index % 3]
        for n, name in zip(index, names, strict=True):
            picture(root / "photos" / part / name / f"{n:02}.png", images[n])
            lines.append(f"photos/{part}/{name}/{n:02}.png,{name},{part}")
        arrays |= {f"{part}_images": images[index], f"{part}_labels": names}
    (root / "photos.csv").write_text("\n".join(lines))
    saved(root / "photos.npz", **arrays)
    tables = {
        table(here, root, data) for data in ("image-folder@path=photos", "csv@path=photos.csv", "npz@path=photos.npz")
    }
    assert len(tables) == 1
    assert "done" in tables.pop()


def brightness(n):
    """n gray images of 8x8 in three kinds, which differ in brightness by less than the noise."""
    noise = np.random.default_rng(0).integers(0, 200, (n, 8, 8))
    return (noise + 10 * (np.arange(n) % 3)[:, None, None]).astype(np.uint8)


def table(here, root, data):
    """The table of a run on this data set, without its name."""
    out = data.partition("@")[0]
    words = ("-d", data, "-e", "pixels", "-a", "none", "--no-reference", "-c", "logistic", "-i", "natural")
    done = here("run", *words, "--repetitions", 1, "--in-process", "--out", out)
    assert done.code == 0
    return (root / out / "table.csv").read_text().replace(data, "DATA")


def test_a_relative_list_of_absolute_paths_is_planned(here, home):
    for name, image in zip(NAMES, IMAGES, strict=True):
        picture(home.path / f"{name}.png", image)
    lines = [f"{home.path}/{name}.png,{name[:3]}" for name in NAMES]
    (home.path / "list.csv").write_text("\n".join(["path,label", *lines]))
    done = here("plan", "-d", "csv@path=list.csv", "-e", "pixels", "-c", "logistic")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("words", guide_commands("your-own-images.md"), ids=" ".join)
def test_a_command_of_the_guide_is_understood(here, home, words):
    (home.path / "photos.csv").write_text("path,label\n")
    saved(home.path / "features.npz", train_features=pixels(2, 3), train_labels=[0, 1], fc_weight=pixels(2, 3))
    done = here("plan", *words[1:])
    assert (done.code, done.err) == (0, "")


def test_an_image_given_once_by_its_absolute_path_and_once_by_its_relative_one_is_refused(ctx, tmp_path, listed):
    file = listed(f"path,label\ncat/a.png,cat\n{tmp_path}/cat/a.png,dog\n")
    with says(f"csv: {file}: lines 2 and 3 list the same image, {tmp_path}/cat/a.png; remove one of them"):
        Csv(path=file).load(ctx)
