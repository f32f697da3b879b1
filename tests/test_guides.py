"""The plugins that the guides show keep the contract, have rows in a table, and do what their page says."""

import hashlib
import re

import pytest
import torch
from commands import rows
from made_files import write_slides
from pages import TEXTS, files
from safetensors.torch import save_file

from benchfw import DataError, FeatureSet, FeatureSpace
from benchfw.registry import installed

GUIDES = [text for name, text in TEXTS.items() if name.startswith("docs/how-to/")]
PLUGINS = {name: text for guide in GUIDES for name, text in files(guide).items() if "@hookimpl" in text}
QUICK = {  # a small run of each
    "class_normal.py": ("-e", "pixels", "-a", "class-normal", "-c", "linear@steps=20"),
    "edges.py": ("-e", "edges", "-a", "none", "-c", "linear@steps=20"),
    "hard_noise.py": ("-e", "pixels", "-a", "hard-noise", "-c", "linear@steps=20"),
    "slides.py": ("-d", "slides", "-e", "pixels", "-a", "none", "-c", "linear@steps=20"),
    "small_net.py": ("-e", "small-net@steps=20", "-a", "none", "-c", "head@steps=5"),
    "two_layers.py": ("-e", "pixels", "-a", "none", "-c", "two-layers@steps=20"),
    "undersample.py": ("-e", "pixels", "-a", "undersample", "-c", "linear@steps=20"),
}
ONCE = ("--no-reference", "--repetitions", 1, "--in-process", "--cache", "off")


@pytest.fixture
def shown(home, monkeypatch):
    """A directory with the files of the guides, and the slides that one of them reads."""
    monkeypatch.chdir(home.path)
    for name, text in PLUGINS.items():
        (home.path / name).write_text(text)
    write_slides(home.path / "slides")
    yield home.path
    installed.cache_clear()


def component(kind, name, file, **parameters):
    return installed((file,)).get(kind, name)(**parameters)


def test_every_plugin_of_the_guides_is_tried():
    assert set(PLUGINS) == set(QUICK)


@pytest.mark.parametrize("file", QUICK)
def test_a_plugin_of_a_guide_has_its_row_in_a_table(file, shown, here):
    done = here("run", "--plugin", file, *QUICK[file], *ONCE, "--out", "out")
    assert done.code == 0, done.err
    assert [row["status"] for row in rows(shown / "out")] == ["done"]


@pytest.mark.parametrize("file", QUICK)
def test_a_plugin_of_a_guide_keeps_the_contract(file, shown, here):
    done = here("plugin", "check", file, "--no-plugins")
    assert done.code == 0, done.out + done.err
    assert re.search(r"passed \(\d\d passed", done.out)


def test_edges_are_found_where_they_are(shown, ctx):
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    images[1, :, :, 4:] = 255  # an edge from top to bottom, in the middle
    flat, edge = component("extractor", "edges", "edges.py", grid=1).embed(images, ctx)
    assert flat.tolist() == [0, 0]
    assert edge.tolist() == pytest.approx([0, 1 / 7])


def test_the_small_network_starts_from_the_file_that_was_meant(shown):
    trained = component("extractor", "small-net", "small_net.py", width=2).build((1, 8, 8), 3).body.state_dict()
    save_file(trained, "body.safetensors")
    digest = hashlib.sha256((shown / "body.safetensors").read_bytes()).hexdigest()
    given = {"width": 2, "weights": "body.safetensors"}
    again = component("extractor", "small-net", "small_net.py", **given, sha256=digest).build((1, 8, 8), 3)
    torch.testing.assert_close(dict(again.body.state_dict()), dict(trained), rtol=0, atol=0)
    with pytest.raises(DataError, match=f"has SHA-256 {digest}; wants 'other'"):
        component("extractor", "small-net", "small_net.py", **given, sha256="other").build((1, 8, 8), 3)
    with pytest.raises(DataError, match="no file nowhere"):
        component("extractor", "small-net", "small_net.py", weights="nowhere").build((1, 8, 8), 3)


def test_hard_noise_meets_the_rows_of_every_other_augmenter(shown, here):
    """With noise that is too small to count, it is `none`: same rows, same order, as many steps."""
    axes = ("-e", "pixels", "-a", "none", "-a", "hard-noise@most=1e-6", "-c", "linear@steps=50")
    assert here("run", "--plugin", "hard_noise.py", *axes, *ONCE, "--out", "out").code == 0
    without, tiny = (row["scores"]["none"]["nll"] for row in rows(shown / "out"))
    assert tiny == pytest.approx(without, rel=1e-4)


def test_hard_noise_refuses_a_classifier_whose_weights_stay(shown, here):
    axes = ("-e", "pixels", "-a", "hard-noise", "-c", "linear@steps=5", "-c", "linear@batch_norm=refresh")
    assert here("run", "--plugin", "hard_noise.py", *axes, *ONCE, "--out", "out").code == 0
    reasons = {row["axes"]["classifier"]: row["reason"] for row in rows(shown / "out")}
    assert reasons["linear@steps=5"] is None
    assert reasons["linear@batch_norm=refresh"].startswith("hard-noise: trains the classifier's weights")


def test_slides_keep_patients_together_and_name_what_is_missing(shown, ctx):
    slides = component("dataset", "slides", "slides.py").load(ctx)
    assert slides.class_names == ("healthy", "ill")
    assert slides.train.groups.bincount().tolist() == [4] * 10
    with pytest.raises(DataError, match=r"wants slides.npy and slides.csv in nowhere"):
        component("dataset", "slides", "slides.py", root="nowhere").load(ctx)


def test_undersampling_keeps_a_multiple_of_the_smallest_class(shown, blobs, ctx):
    def kept(times):
        return component("augmenter", "undersample", "undersample.py", times=times).select(blobs, ctx)

    assert blobs.take(kept(1.0)).counts().tolist() == [5, 5, 5]
    assert blobs.take(kept(3.0)).counts().tolist() == [15, 15, 5]
    assert kept(1.0).tolist() != kept(1.0).tolist()  # at random: the context's generator has moved on


def test_the_normals_of_a_class_have_its_mean_and_deviation(shown, blobs, ctx):
    draw = component("augmenter", "class-normal", "class_normal.py").fit(blobs, None, ctx)
    rows = draw(torch.full((20_000,), 1), torch.Generator().manual_seed(0))
    real = blobs.of_class(1)
    torch.testing.assert_close(rows.mean(0), real.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(rows.std(0), real.std(0, correction=0), rtol=0.05, atol=0)


def test_two_classifiers_share_the_fit_that_has_a_state(shown, here):
    axes = ("-e", "pixels", "-a", "class-normal", "-c", "linear@steps=5", "-c", "logistic")
    once = [word for word in ONCE if word not in ("--cache", "off")]
    assert here("run", "--plugin", "class_normal.py", *axes, *once, "--out", "out").code == 0
    assert len(rows(shown / "out")) == 2
    assert len(list((shown / "cache").rglob("state.safetensors"))) == 1


def test_the_hidden_layer_finds_what_a_linear_one_cannot(shown, ctx):
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])  # exclusive or
    train = FeatureSet(FeatureSpace((2,), n_classes=2), corners, torch.tensor([0, 0, 1, 1]))
    torch.manual_seed(0)
    predict = component("classifier", "two-layers", "two_layers.py", lr=0.01, batch=4).fit(train, None, ctx)
    assert predict(corners).argmax(1).tolist() == [0, 0, 1, 1]
