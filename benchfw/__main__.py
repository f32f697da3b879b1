"""`python -m benchfw` and the `benchfw` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; what benchfw raises on purpose is one line on standard error and an exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would read every distribution for its own
    from benchfw.cli import app
    from benchfw.errors import BenchfwError, StoreError
    from benchfw.shell import answer, asks
    from benchfw.text import printable

    if asks(os.environ):
        answer(app)
    try:
        app()
    except BenchfwError as error:
        sys.stderr.write(f"benchfw: {printable(str(error))}\n")
        sys.exit(3 if isinstance(error, StoreError) else 2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
