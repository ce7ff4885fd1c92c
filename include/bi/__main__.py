"""`python -m include.bi ZIP [--uri URI]`: write the dashboards as Superset imports them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.bi.bundle import write_bundle

URI = "postgresql+psycopg2://tandem_bi@postgres/bi"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m include.bi", description=__doc__)
    parser.add_argument("path", type=Path, help="the ZIP to write")
    parser.add_argument(
        "--uri",
        default=URI,
        help="where the published tables are, as SQLAlchemy names it, without a password",
    )
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{write_bundle(options.path, options.uri)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
