"""Where bfloat16 rounds and where it does not, what `deterministic` sets, and what refreshed batch norm changes."""

import json
import os
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from third_party import installed_here, measured
from torch import nn

from benchfw import CannotRun, Classifier, FeatureSet, FeatureSpace, UsageError, hookimpl, param, training
from benchfw.machine import WORKSPACE, arithmetic, precision_on, prepare_determinism
from benchfw_neural import Head

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NETWORK = {"extractor": "paper-cnn@tiny,steps=60", "classifier": "head@steps=20"}
HOWS = {
    "auto": {},
    "float32": {"precision": "float32"},
    "bf16": {"precision": "bf16"},
    "deterministic": {"deterministic": True},
}


@hookimpl
def register_classifiers(register):
    register(Tells)


@dataclass(frozen=True)
class Tells(Classifier):
    """Say what torch's flags are while it trains."""

    name = "tells"
    puts: bool = param(False, "whether it does what has no deterministic form")

    def fit(self, train, val, ctx):
        ctx.log(
            deterministic=torch.are_deterministic_algorithms_enabled(),
            cudnn=torch.backends.cudnn.deterministic,
            bf16=ctx.precision == "bf16",
        )
        if self.puts:
            torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        return lambda rows: rows.new_zeros(len(rows), train.space.n_classes)


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory):
    with installed_here(tmp_path_factory.mktemp("site"), __name__):
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The one cell of one matrix with other arithmetic, each with a cache of its own: row, features, log-scores."""
    found = {}
    for name, settings in HOWS.items():
        out = tmp_path_factory.mktemp(name)
        (row,) = measured(out, **NETWORK, **settings)
        assert row["status"] == "done", row["reason"]
        (features,) = out.rglob("test.npy")
        with np.load(out / "predictions" / f"{row['id']}.npz") as kept:
            found[name] = row, np.load(features), kept["log_scores"]
    return found


# ---- bfloat16 ----


def test_auto_is_bf16_on_a_gpu_that_has_it_alone(monkeypatch):
    assert precision_on(CPU, "auto") == "float32"
    for has, precision in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has)
        assert precision_on(CUDA, "auto") == precision


@pytest.mark.parametrize("name", ["float32", "bf16"])
def test_a_precision_by_name_is_that_precision(name):
    assert {precision_on(device, name) for device in (CPU, CUDA)} == {name}


class Noting(nn.Module):
    """A linear layer that notes the type of what it gives."""

    def __init__(self):
        super().__init__()
        self.layer, self.given = nn.Linear(8, 3), []

    def forward(self, rows):
        logits = self.layer(rows)
        self.given.append(logits.dtype)
        return logits


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_the_forward_pass_of_a_training_step_is_rounded(blobs, ctx, precision, dtype):
    network, losses = Noting(), []

    def loss(logits, labels):
        losses.append(training.cross_entropy(logits, labels).dtype)
        return training.cross_entropy(logits, labels)

    batches = training.stream(blobs, steps=3, batch=16, seed=0)
    training.fit(network, batches, steps=3, lr=0.1, loss=loss, ctx=replace(ctx, precision=precision))
    assert network.given == [dtype] * 3
    assert losses == [torch.float32] * 3
    assert {tensor.dtype for p in network.parameters() for tensor in (p, p.grad)} == {torch.float32}
    scores = training.predictor(network)(blobs.values)
    assert torch.equal(scores, network.layer(blobs.values).log_softmax(1))  # in float32


def test_bf16_changes_what_is_learned_and_neither_features_nor_log_scores_are_rounded(runs):
    for part in (1, 2):
        exact, rounded = runs["float32"][part], runs["bf16"][part]
        assert exact.dtype == rounded.dtype == np.float32
        assert (exact != rounded).mean() > 0.9
        again = torch.from_numpy(rounded).bfloat16().float().numpy()
        assert (rounded != again).mean() > 0.9


def test_bf16_is_as_accurate_within_a_few_points(runs):
    exact, rounded = (runs[name][0]["scores"]["none"]["accuracy"] for name in ("float32", "bf16"))
    assert exact > 0.6
    assert rounded == pytest.approx(exact, abs=0.05)


def test_auto_on_the_cpu_is_float32_to_the_last_bit_and_under_the_same_key(runs):
    auto, exact = runs["auto"], runs["float32"]
    assert (auto[2] == exact[2]).all()
    assert auto[0]["key"] == exact[0]["key"]


# ---- deterministic ----


def test_deterministic_gives_the_same_numbers_on_the_cpu(runs):
    plain, deterministic = runs["auto"], runs["deterministic"]
    assert all((plain[part] == deterministic[part]).all() for part in (1, 2))
    assert json.dumps(plain[0]["scores"]) == json.dumps(deterministic[0]["scores"])


def test_other_arithmetic_is_another_key(runs):
    assert len({runs[name][0]["key"] for name in ("float32", "bf16", "deterministic")}) == 3


def flags():
    return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic


@pytest.mark.parametrize("wanted", [True, False])
def test_the_flags_of_torch_are_put_back_whatever_happens(monkeypatch, wanted):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # of the user's own
    assert flags() == (False, False)
    with arithmetic(deterministic=wanted):
        assert flags() == (wanted, wanted)
        with arithmetic(deterministic=True):
            assert flags() == (True, True)
        assert flags() == (wanted, wanted)
    with pytest.raises(ZeroDivisionError), arithmetic(deterministic=wanted):
        _ = 1 / 0
    assert flags() == (False, False)


def test_a_run_sets_the_flags_in_its_cells_and_puts_them_back(tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    said = {}
    for wanted in (True, False):
        settings = {"deterministic": wanted, "precision": "bf16" if wanted else "auto"}
        (row,) = measured(tmp_path / str(wanted), classifier="tells", **settings)
        (said[wanted],) = row["records"]["classifier"]
    assert said == {flag: {"deterministic": flag, "cudnn": flag, "bf16": flag} for flag in (True, False)}
    assert flags() == (False, False)


def test_what_has_no_deterministic_form_is_a_failed_row_and_runs_without(tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    rows = {
        wanted: measured(tmp_path / str(wanted), classifier="tells@puts=true", deterministic=wanted)
        for wanted in (True, False)
    }
    assert [row["status"] for row in rows[True] + rows[False]] == ["failed", "done"]
    assert "does not have a deterministic implementation" in rows[True][0]["reason"]


# ---- refreshed batch norm ----


@pytest.fixture
def with_head(blobs):
    """The blobs, with a head of two batch norms whose statistics are not the ones it starts with."""
    torch_rng = torch.random.get_rng_state()
    torch.manual_seed(1)
    trained = nn.Sequential(
        nn.BatchNorm1d(8), nn.Linear(8, 16), nn.BatchNorm1d(16, momentum=0.3), nn.LeakyReLU(), nn.Linear(16, 3)
    )
    trained.train()(torch.randn(64, 8))
    torch.random.set_rng_state(torch_rng)
    return replace(blobs, space=replace(blobs.space, head=lambda: deepcopy(trained)))


REFRESH = Head(**Head.presets["refresh"], steps=9, batch=20, lr=1e3)


def refreshed(train, ctx):
    network = REFRESH.network(train, ctx)
    return network, REFRESH.fit_network(network, train, ctx)


def test_refresh_changes_no_weight(with_head, ctx):
    network, _ = refreshed(with_head, ctx)
    before = dict(with_head.space.new_head().named_parameters())
    after = dict(network.named_parameters())
    assert len(before) == 8
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(weight.grad is None for weight in after.values())


def test_refresh_gives_the_statistics_that_torch_gives_for_the_same_batches(with_head, ctx):
    network, _ = refreshed(with_head, ctx)
    reference, before = with_head.space.new_head().train(), with_head.space.new_head()
    for rows, _ in training.stream(with_head, steps=9, batch=20, seed=ctx.seed):
        reference(rows)
    for name, value in reference.named_buffers():
        assert torch.equal(network.get_buffer(name), value)
        assert not torch.equal(value, before.get_buffer(name))


def test_refreshed_statistics_are_running_means_in_closed_form(with_head, ctx):
    network, _ = refreshed(with_head, ctx)
    first = with_head.space.new_head()[0]
    mean, variance = first.running_mean.double(), first.running_var.double()
    for rows, _ in training.stream(with_head, steps=9, batch=20, seed=ctx.seed):
        mean = 0.9 * mean + 0.1 * rows.double().mean(0)
        variance = 0.9 * variance + 0.1 * rows.double().var(0)
    assert network[0].running_mean == pytest.approx(mean, abs=1e-5)
    assert network[0].running_var == pytest.approx(variance, abs=1e-4)


def test_refreshed_statistics_are_what_predicts(with_head, ctx):
    network, predict = refreshed(with_head, ctx)
    expected = network.eval()(with_head.values).log_softmax(1)
    assert torch.equal(predict(with_head.values), expected)
    plain = with_head.space.new_head().eval()(with_head.values).log_softmax(1)
    assert not torch.allclose(expected, plain, atol=1e-3)


def test_a_network_without_batch_norm_cannot_be_refreshed(ctx):
    space = FeatureSpace((2,), 2, head=lambda: nn.Linear(2, 2))
    train = FeatureSet(space, torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(CannotRun, match=r"^batch_norm=refresh: the network has no batch norm"):
        refreshed(train, ctx)


def test_refresh_of_a_head_without_batch_norm_is_skipped_with_the_reason(tmp_path):
    axes = {"extractor": ("lenet5@steps=2,width=0.1", "paper-cnn@tiny,steps=2"), "classifier": "head@refresh,steps=2"}
    lenet, cnn = measured(tmp_path, **axes)
    reason = "batch_norm=refresh: the network has no batch norm, so there is nothing to refresh"
    assert (lenet["status"], lenet["reason"], cnn["status"]) == ("skipped", reason, "done")


# ---- CUDA's own switches ----


def test_float32_is_not_rounded_to_tf32_in_a_cell_and_the_user_s_choice_comes_back():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    with arithmetic(deterministic=False):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (False, False)
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before
    assert before[0]  # torch's default, without which this test says nothing


def test_the_variable_of_cuda_s_products_is_set_before_the_cells_and_the_user_s_own_stays(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    prepare_determinism()
    assert os.environ[WORKSPACE] == ":16:8"
    monkeypatch.delenv(WORKSPACE)
    prepare_determinism()
    assert os.environ[WORKSPACE] == ":4096:8"
    monkeypatch.delenv(WORKSPACE)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(UsageError, match=r"^--deterministic: CUDA is in use already; set CUBLAS_WORKSPACE_CONFIG"):
        prepare_determinism()


def test_a_deterministic_run_sets_it_for_its_workers(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKSPACE, "x")
    monkeypatch.delenv(WORKSPACE)
    measured(tmp_path, classifier="tells", deterministic=True)
    assert os.environ[WORKSPACE] == ":4096:8"
