"""The data set image-folder: what it reads from folders of images, and what it says when it cannot."""

import numpy as np
import pytest
import torch
from made_files import picture, pixels, says
from PIL import Image

from benchfw import Context, UsageError
from benchfw_datasets import ImageFolder


@pytest.fixture
def folder(tmp_path):
    """Two classes, three and two gray PNGs of 6x5."""
    root = tmp_path / "root"
    for n, name in enumerate(("cat/a", "cat/b", "cat/c", "dog/a", "dog/b")):
        picture(root / f"{name}.png", pixels(1, 5, 6, seed=n)[0])
    return root


def test_image_folder_reads_classes_and_files_in_sorted_order(ctx, folder):
    data = ImageFolder(path=str(folder)).load(ctx)
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert np.array_equal(data.train.pool.numpy(), np.stack([pixels(1, 5, 6, seed=n) for n in range(5)])[:, 0][:, None])


def test_image_folder_passes_over_hidden_files_and_what_is_no_image(ctx, folder):
    before = ImageFolder(path=str(folder)).load(ctx).fingerprint
    (folder / "README.md").write_text("not a class")
    (folder / "cat" / "notes.txt").write_text("not an image")
    (folder / "cat" / "._a.png").write_text("what some systems leave behind")
    picture(folder / ".trash" / "a.png", pixels(1, 5, 6)[0])
    picture(folder / "dog" / ".thumbnails" / "a.png", pixels(1, 5, 6)[0])
    assert ImageFolder(path=str(folder)).load(ctx).fingerprint == before
    assert [file.name for file in ImageFolder(path=str(folder)).files(folder)] == [f"{n}.png" for n in "abcab"]


def test_image_folder_reads_the_parts_train_val_and_test(ctx, tmp_path):
    for n, name in enumerate(("train/cat/1", "train/dog/1", "train/dog/2", "val/dog/1", "test/cat/1", "test/dog/1")):
        picture(tmp_path / f"{name}.png", pixels(1, 5, 6, seed=n)[0])
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert [part.labels.tolist() for part in (data.train, data.val, data.test)] == [[0, 1, 1], [1], [0, 1]]
    assert np.array_equal(data.val.pool.numpy()[0, 0], pixels(1, 5, 6, seed=3)[0])


@pytest.mark.parametrize("suffix", ["bmp", "PNG", "tif", "tiff", "webp", "pgm", "gif"])
def test_image_folder_reads_lossless_formats_exactly(ctx, tmp_path, suffix):
    images = pixels(2, 5, 6)
    options = {"lossless": True} if suffix == "webp" else {}
    for image, name in zip(images, "ab", strict=True):
        picture(tmp_path / name / f"1.{suffix}", image, **options)
    data = ImageFolder(path=str(tmp_path), color="gray").load(ctx)
    assert np.array_equal(data.train.pool.squeeze(1).numpy(), images)


def test_image_folder_reads_jpegs_as_pillow_does(ctx, tmp_path):
    files = [picture(tmp_path / name / "1.jpg", pixels(1, 16, 16, 3)[0]) for name in "ab"]
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert np.array_equal(data.train.pool[1].permute(1, 2, 0).numpy(), np.array(Image.open(files[1])))


def test_image_folder_is_gray_by_itself_only_if_every_image_is(ctx, folder):
    assert ImageFolder(path=str(folder)).load(ctx).train.image_shape == (1, 5, 6)
    assert ImageFolder(path=str(folder), color="rgb").load(ctx).train.image_shape == (3, 5, 6)
    picture(folder / "dog" / "color.png", pixels(1, 5, 6, 3)[0])
    mixed = ImageFolder(path=str(folder)).load(ctx)
    assert mixed.train.image_shape == (3, 5, 6)
    assert np.array_equal(mixed.train.pool[0].numpy(), np.repeat(pixels(1, 5, 6, seed=0), 3, axis=0))
    assert ImageFolder(path=str(folder), color="gray").load(ctx).train.image_shape == (1, 5, 6)


def test_image_folder_drops_transparency(ctx, tmp_path):
    image = pixels(1, 5, 6, 4)[0]
    palette = Image.fromarray(pixels(1, 5, 6)[0] // 64).convert("P")
    palette.putpalette([200, 10, 20] * 256)
    for name in "ab":
        picture(tmp_path / name / "1.png", image)
    palette.save(tmp_path / "b" / "2.png", transparency=bytes([0, 128, 255, 255]))
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert np.array_equal(data.train.pool[0].permute(1, 2, 0).numpy(), image[..., :3])
    assert data.train.pool[2].flatten(1).unique(dim=1).tolist() == [[200], [10], [20]]


def test_image_folder_resizes_images_of_any_size_as_pillow_does(ctx, folder):
    other = picture(folder / "dog" / "wide.png", pixels(1, 9, 30)[0])
    data = ImageFolder(path=str(folder), size=4).load(ctx)
    assert data.train.pool.shape == (6, 1, 4, 4)
    wanted = np.array(Image.open(other).resize((4, 4), Image.Resampling.BILINEAR))
    assert np.array_equal(data.train.pool[5, 0].numpy(), wanted)


def test_image_folder_reports_progress_image_by_image(folder):
    seen = []
    ctx = Context(0, torch.device("cpu"), folder, report=lambda done, total: seen.append((done, total)))
    ImageFolder(path=str(folder)).load(ctx)
    assert seen == [(n, 5) for n in range(1, 6)]


def test_image_folder_names_the_first_two_images_that_differ_in_size(ctx, folder):
    picture(folder / "dog" / "aa.png", pixels(1, 9, 30)[0])
    with says(
        f"image-folder: {folder}: cat/a.png is 6x5, but dog/aa.png is 30x9; wants one size; "
        "resize them with --set dataset.image-folder.size=64"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_counts_the_images_that_cannot_be_read(ctx, folder):
    file = folder / "cat" / "b.png"
    file.write_bytes(file.read_bytes()[:60])
    for name in ("a.png", "b.png", "c.jpg", "d.gif"):
        (folder / "dog" / name).write_text("no image")
    names = "cat/b.png, dog/a.png, dog/b.png, ..."
    with says(
        f"image-folder: {folder}: 5 of 7 images cannot be read: {names} (image file is truncated); "
        "replace or remove them"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_says_so_when_no_image_at_all_can_be_read(ctx, folder):
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    with says(
        f"image-folder: {folder}: 5 of 5 images cannot be read: cat/a.png, cat/b.png, cat/c.png, ... "
        "(no image that Pillow knows); replace or remove them"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_refuses_images_of_more_than_8_bits(ctx, folder):
    picture(folder / "cat" / "x.png", pixels(1, 5, 6)[0].astype(np.uint16) * 200)
    with says(
        f"image-folder: {folder}: 1 of 6 images have more than 8 bits a channel: cat/x.png; wants 8 bits; "
        "convert them first, since which gray values matter is yours to choose"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_without_a_path_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.image-folder.path=DIR or image-folder@path=DIR"
    with says(f"dataset.image-folder.path: wants a path, found none; {cure}", UsageError):
        ImageFolder().load(ctx)
    with says(f"dataset.image-folder.path: wants a path, found none; {cure}", UsageError):
        ImageFolder().files(tmp_path)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "no such directory; wants <class>/*.png below it; correct --set dataset.image-folder.path=DIR"),
        ((), "found no class folder; wants at least 2, as in <class>/*.png or train/<class>/*.png"),
        (
            ("cat/1.png",),
            "found one class folder ('cat'); wants at least 2, as in <class>/*.png or train/<class>/*.png",
        ),
        (
            ("cat/1.png", "dog/notes.txt"),
            (
                "class 'dog' has no image; wants files that end in .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, "
                ".tiff, .webp; add some, or remove it"
            ),
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "valid/cat/1.png"),
            (
                "found the folders train, valid; wants either classes, none of them called train, val or test, or "
                "train with val or test and nothing else; rename or move the others"
            ),
        ),
        (
            ("val/cat/1.png", "test/dog/1.png"),
            (
                "found the folders test, val; wants either classes, none of them called train, val or test, or train "
                "with val or test and nothing else; rename or move the others"
            ),
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/cow/1.png"),
            "test has the class 'cow', which train lacks; rename the folder or move it away",
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/dog/notes.txt"),
            "test has no image in any class folder; add some, or remove the folder",
        ),
    ],
)
def test_image_folder_says_in_one_line_what_is_wrong_with_the_folders(ctx, tmp_path, made, message):
    root = tmp_path / "root"
    if made is not None:
        root.mkdir()
    for name in made or ():
        if name.endswith(".png"):
            picture(root / name, pixels(1, 5, 6)[0])
        else:
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text("not an image")
    with says(f"image-folder: {root}: {message}"):
        ImageFolder(path=str(root)).load(ctx)
