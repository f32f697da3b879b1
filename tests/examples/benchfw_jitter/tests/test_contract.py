"""The augmenter keeps benchfw's contract, with its defaults and with other parameters."""

from benchfw.testing import parametrize_components

from benchfw_jitter import Jitter


@parametrize_components([Jitter, Jitter(scale=0.5)])
def test_contract(component, check):
    check(component)
