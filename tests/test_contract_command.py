"""`benchfw plugin check`: tables, Markdown, JSON and exit codes, on components, distributions and files."""

import json
import subprocess
import sys

import pytest
from test_contract_pytest import PLUGIN
from third_party import describe

BROKEN = PLUGIN.replace("register(Jitter)", "register(Jiter)")
MEAN = PLUGIN.replace("register(Jitter)", "register(Mean)")
REFUSES = PLUGIN.replace("register(Jitter)", "register(Refuses)")
PICKY = '''
from dataclasses import dataclass

from benchfw import CannotRun, Extractor, hookimpl


@hookimpl
def register_extractors(register):
    register(Picky)


@dataclass(frozen=True)
class Picky(Extractor):
    """Channel means of large images."""

    name = "picky"

    def embed(self, images, ctx):
        if min(images.shape[2:]) < 20:
            raise CannotRun("picky wants images of at least 20x20")
        return images.float().mean((2, 3))
'''
BY_DESIGN = "other-seed=one row for each class, by design"


@pytest.fixture
def written(home):
    """Write a plugin into the directory where commands run; returns its name."""

    def write(text=PLUGIN, name="my_aug.py"):
        (home.path / name).write_text(text)
        return f"./{name}"

    return write


def test_a_sound_component_ends_with_0_and_its_time_and_memory(here):
    done = here("plugin", "check", "smote@k=3")
    assert done.code == 0
    assert "augmenter smote@k=3: passed (" in done.out
    assert " s, " in done.out.splitlines()[-1]
    assert done.out.splitlines()[-1].endswith(" MiB)")


def test_every_check_of_the_role_has_a_line_with_what_it_wants(here):
    from benchfw.testing import checks_of
    from benchfw_oversampling import Smote

    lines = here("plugin", "check", "augmenter smote").out.splitlines()
    for check in checks_of(Smote):
        assert any(line.split()[:1] == [check.name] for line in lines), check.name


def test_a_file_is_checked_without_being_installed(here, written):
    done = here("plugin", "check", written())
    assert done.code == 0, done.out
    assert "augmenter jitter: passed" in done.out


def test_a_breach_ends_with_1_and_says_where_found_wanted_and_cure(here, written):
    done = here("plugin", "check", written(MEAN))
    assert done.code == 1
    assert "sample: another rng gives the same rows; wants every random number from the rng it is handed" in done.out
    last, why = done.out.splitlines()[-2:]
    assert last.startswith("augmenter mean: FAILED (")
    assert why.startswith("  other-seed: sample: another rng gives the same rows; wants")


def test_an_expected_failure_ends_with_0_and_shows_its_reason(here, written):
    done = here("plugin", "check", written(MEAN), "--expect", BY_DESIGN)
    assert done.code == 0
    assert "failed as expected" in done.out
    assert "one row for each class, by design" in done.out


def test_an_expected_failure_that_passes_ends_with_1(here):
    done = here("plugin", "check", "smote", "--expect", "other-seed=no idea")
    assert done.code == 1
    assert "passes, but was expected to fail: no idea" in done.out


def test_nothing_looked_at_ends_with_1(here, written):
    done = here("plugin", "check", written(REFUSES))
    assert done.code == 1
    assert "no check could look at what it does: cannot run on the toy set: it wants a million rows" in done.out


def test_a_data_set_without_its_files_is_not_passed(here):
    done = here("plugin", "check", "npz")
    assert done.code == 1
    assert "it cannot be loaded here: dataset.npz.path: wants a path, found none" in done.out


def test_markdown_shows_what_failed_and_folds_the_rest(here, written):
    done = here("plugin", "check", written(MEAN), "--format", "markdown")
    shown, _, folded = done.out.partition("<details>")
    assert done.code == 1
    assert "### augmenter `mean`: FAILED (" in shown
    assert "| other-seed | FAILED | sample: another rng gives the same rows; wants every random number" in shown
    assert "same-seed" not in shown
    assert "| same-seed | passed | the same bytes from the same seed and data, each time |" in folded


def test_json_holds_every_check_with_its_verdict(here, written):
    (found,) = json.loads(here("plugin", "check", written(MEAN), "--format", "json").out)
    assert (found["kind"], found["name"], found["passed"]) == ("augmenter", "mean", False)
    assert found["seconds"] > 0
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == ["other-seed"]


def test_what_a_plugin_prints_does_not_get_into_the_output(here, written):
    loud = PLUGIN.replace("        def sample", "        print('hello')\n\n        def sample")
    assert json.loads(here("plugin", "check", written(loud), "--format", "json").out)[0]["passed"]


def test_a_component_that_refuses_small_images_is_checked_on_larger_ones(here, written):
    file = written(PICKY, "picky.py")
    small = here("plugin", "check", file)
    assert small.code == 1
    assert "cannot run on the toy set: picky wants images of at least 20x20" in small.out
    assert here("plugin", "check", file, "--shape", "image=3,24,20").code == 0


def test_limits_can_be_lowered(here):
    done = here("plugin", "check", "smote", "--seconds", "0.000001")
    assert done.code == 1
    assert "takes more than 1e-06 s on the toy set; check it with other limits, --seconds or --mib" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smot"], "no component, distribution or file named 'smot'; did you mean 'smote'?"),
        (["smote@k=0"], "augmenter.smote.k: wants int >= 1, found '0'"),
        (["classifier smote"], "no classifier named 'smote'; did you mean 'augmenter smote'?"),
        (["augmenter logistic@C=2"], "no augmenter named 'logistic'; did you mean 'classifier logistic@C=2'?"),
        (["augmenter", "smote"], "'augmenter' is a kind; wants it together with a name, in quotes: 'augmenter smote'"),
        (["augmenter smot"], "no augmenter named 'smot'; did you mean 'smote'? (known: class-gaussian, eos,"),
        (["augmenter"], "'augmenter' is a kind; wants it together with a name, in quotes: 'augmenter NAME'"),
        (["smote@"], "'smote@': wants name@parameter=value,... or name@preset, found nothing after @"),
        (["smote", "--seconds", "0"], "limit of seconds: wants more than 0, found 0"),
        (["smote", "--mib", "nan"], "limit of mib: wants more than 0, found nan"),
        (["./nowhere.py"], "nowhere.py: no such file; wants a Python file with a hook, or the name of a component"),
        (["smote", "--expect", "other-seed"], "--expect 'other-seed': wants CHECK=REASON"),
        (["smote", "--expect", "other-seed="], "expected failure of other-seed: found no reason"),
        (["smote", "--expect", "other-sed=so"], "no check named 'other-sed'; did you mean 'other-seed'?"),
        (["smote", "--expect", "scores=so"], "scores is a check of none of these components"),
        (["smote", "--shape", "image=big"], "--shape 'image=big': wants image=C,H,W, map=C,H,W or vector=D"),
        (["smote", "--shape", "vector=2"], "vector shape: wants D of at least (3,), found (2,)"),
    ],
)
def test_a_wrong_request_is_one_line_and_ends_with_2(here, words, said):
    done = here("plugin", "check", *words)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_check_that_is_nearly_spelt_right_is_named_alone(here):
    close, far = (here("plugin", "check", "smote", "--expect", f"{name}=so").err for name in ("other-sed", "warmth"))
    assert close.endswith("did you mean 'other-seed'?\n")
    assert "fresh-process" in far


def test_a_file_that_cannot_be_loaded_is_one_line_that_names_plugin_and_hook(here, written):
    done = here("plugin", "check", written(BROKEN))
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(
        "benchfw: plugin 'my_aug' of my_aug.py was not loaded: hook register_augmenters"
    )
    assert "NameError: name 'Jiter' is not defined" in done.err


def test_a_name_of_two_kinds_must_be_told_apart(here, written):
    hook = "@hookimpl\ndef register_classifiers(register):\n    register(Same)"
    text = PLUGIN.replace("register(Jitter)", f"register(Jitter)\n\n\n{hook}")
    same = "\n\n@dataclass(frozen=True)\nclass Same(Classifier):\n    '''Of the same name.'''\n\n    name = 'jitter'\n"
    file = written(text.replace("import CannotRun", "import CannotRun, Classifier") + same)
    done = here("plugin", "check", "jitter", "--plugin", file)
    assert done.code == 2
    assert "of several components; say which: 'augmenter jitter' or 'classifier jitter'" in done.err
    assert here("plugin", "check", "augmenter jitter", "--plugin", file).code == 0


def test_a_distribution_is_checked_whole_and_its_components_by_its_name(home, written):
    describe(home.path / "site", "my_aug")
    written(PLUGIN.replace("register(Jitter)", "register(Jitter)\n    register(Mean)"), "site/my_aug.py")
    done = home.run("plugin", "check", "my_aug", "my-aug:jitter", "--expect", BY_DESIGN)
    assert done.err == ""
    assert [line.partition(" (")[0] for line in done.out.splitlines() if line.startswith("augmenter ")] == [
        *("augmenter jitter: FAILED", "augmenter mean: passed", "augmenter jitter: FAILED"),
    ]
    assert done.out.count("passes, but was expected to fail: one row for each class, by design") == 2 + 2


def test_it_works_where_pytest_is_not_installed(home, written):
    code = (
        "import sys; sys.modules['pytest'] = None; sys.argv = ['benchfw', 'plugin', 'check', './my_aug.py'];"
        "from benchfw.__main__ import main; main()"
    )
    written()
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=home.path, env=home.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "augmenter jitter: passed" in done.stdout
