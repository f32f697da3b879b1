"""One thread for all that counts, and the two fixtures that many tests want."""

import os

import pytest

for _library in ("OMP", "MKL", "OPENBLAS"):  # read when numpy and torch are loaded, so before any test module is
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ.pop("COLUMNS", None)  # of the shell that runs the tests; a pipe would be as narrow


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def ctx(tmp_path):
    """A context on the CPU with seed 0, whose downloads are this test's own directory."""
    import torch

    from benchfw import Context

    return Context(seed=0, device=torch.device("cpu"), downloads=tmp_path)


@pytest.fixture
def blobs():
    """Three Gaussian blobs in 8 dimensions, 60, 20 and 5 rows, three standard deviations from the origin each."""
    import torch

    from benchfw import FeatureSet, FeatureSpace

    labels = torch.repeat_interleave(torch.tensor([60, 20, 5]))  # (85,)
    noise = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(0))
    values = 3 * torch.eye(3, 8)[labels] + noise
    return FeatureSet(FeatureSpace((8,), n_classes=3), values, labels, ids=torch.arange(len(labels)))


@pytest.fixture
def home(tmp_path):
    """A place of this test's own where `benchfw` runs as a process."""
    from commands import Home

    made = Home(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def here(monkeypatch, capsys, home):
    """Run `benchfw` in this process: here("run", "--jobs", "0") -> exit code, standard output, standard error."""
    import commands

    return lambda *words: commands.here(monkeypatch, capsys, home, *words)
