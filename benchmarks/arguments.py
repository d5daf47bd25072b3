"""The command line that the benchmarks have in common."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parser_of(prog: str, about: str, sections: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with `--quick`, and `--only` for some of `sections`, in their order."""

    def some(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := set(wanted) - set(sections):
            raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
        return [section for section in sections if section in wanted]

    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    parser.add_argument(
        "--only",
        type=some,
        default=list(sections),
        metavar="SECTION,...",
        help="some of " + ", ".join(sections),
    )
    return parser
