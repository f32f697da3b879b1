"""Press Tab in a real shell, on a terminal of its own, and read what then stands on the line."""

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from select import select

BIN = Path(sys.executable).parent
PROMPT = "ready> "
START = {
    "bash": (
        ["bash", "--rcfile", "rc", "-i"],
        "bind 'set bell-style none'\nsource <(benchfw --show-completion bash)\n",
    ),
    "zsh": (["zsh", "-i"], 'bindkey -e\nautoload -Uz compinit; compinit -u\neval "$(benchfw --show-completion zsh)"\n'),
}
RC = {"bash": "rc", "zsh": ".zshrc"}


def missing(shell):
    """The reason to skip a test for a shell that is not on this machine."""
    return None if shutil.which(shell) else f"wants {shell} on the path"


def environment(home):
    """A home's variables, with `benchfw` on the path; typer takes the shell's name instead of looking for it."""
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "ZDOTDIR": str(home.path), "TERM": "dumb"}
    return home.environment | named | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def terminal(shell, home):
    """While it lasts, a function from a line, typed and followed by Tab, to the line that the shell makes of it."""
    words, rc = START[shell]
    (home.path / RC[shell]).write_text(f"PS1='{PROMPT}'\n{rc}")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, cwd=home.path, env=environment(home), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        _read_until(ours, PROMPT)
        yield lambda line: _tabbed(ours, line)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _tabbed(terminal, line):
    """Ctrl-A and Ctrl-E put the line, as it is then, between quotes for `echo`."""
    os.write(terminal, f"{line}\t\x01echo '[\x05]'\n".encode())
    shown = _read_until(terminal, r"\n\[(.*)\]\r?\n(?s:.*)" + PROMPT)
    return shown[1]


def _read_until(terminal, pattern, *, seconds=60):
    """What the terminal shows, as soon as it matches."""
    shown, end = "", time.monotonic() + seconds
    while not (found := re.search(pattern, shown)):
        assert time.monotonic() < end, shown
        if select([terminal], [], [], 1)[0]:
            shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(terminal, 65536).decode(errors="replace"))
    return found


def fish(home, line):
    """The words that fish offers for a line."""
    script = f"benchfw --show-completion fish | source; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=home.path, env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [offer.split("\t")[0] for offer in done.stdout.splitlines()]


def asked(home, line):
    """What benchfw answers when zsh asks for the words of a line: standard output, and standard error."""
    words = {"_BENCHFW_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    done = subprocess.run(
        [BIN / "benchfw"], cwd=home.path, env=environment(home) | words, capture_output=True, text=True
    )
    return done.stdout, done.stderr
