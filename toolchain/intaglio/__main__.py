"""The `intaglio` program, and `python -m intaglio`.

It imports the command line while Ctrl-C is caught: that takes most of the time until the first verb runs.
"""

import sys


def main() -> None:
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
