"""``make bench``: all parts, or those that are named: ``python -m benchmarks --part peers --part idle --size full``."""

from __future__ import annotations

import argparse

from benchmarks.figures import Size
from benchmarks.parts import PARTS, run_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be given again; default: all")
    parser.add_argument("--size", choices=[*Size], default=Size.SHORT)
    asked = parser.parse_args()
    run_all(asked.part or PARTS, asked.size)


if __name__ == "__main__":
    main()
