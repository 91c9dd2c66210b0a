"""Check the types that users see: no report of `correct.py`, those marked of `mistakes.py`.

A mark is a comment `# error: rule, rule` at the end of a line. `make lint` runs this.
"""

import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
MARK = re.compile(r"# error: ([\w, ]+)")


def marked() -> set[tuple[str, int, str]]:
    """Return file, line and rule of each report that is expected."""
    return {
        (path.name, number, rule.strip())
        for path in HERE.glob("*.py")
        if path.name != "check.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for mark in MARK.findall(line)
        for rule in mark.split(",")
    }


def reported() -> set[tuple[str, int, str]]:
    """Return file, line and rule of each report of basedpyright, on the package as installed."""
    command = ["basedpyright", "-p", HERE, "--pythonpath", sys.executable, "--outputjson"]
    command[0] = str(pathlib.Path(sys.executable).with_name("basedpyright"))
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return {
        (pathlib.Path(report["file"]).name, report["range"]["start"]["line"] + 1, report["rule"])
        for report in json.loads(answer.stdout)["generalDiagnostics"]
    }


def main() -> None:
    """Exit with a list of the differences where there are any."""
    wanted, found = marked(), reported()
    differences = [f"not reported: {where}" for where in sorted(wanted - found)]
    differences += [f"not marked: {where}" for where in sorted(found - wanted)]
    if differences or not wanted:
        sys.exit("\n".join(differences) or "no line is marked")
    subprocess.run([sys.executable, "-m", "mypy", "--strict", HERE / "correct.py"], check=True)
    print(f"{len(wanted)} marked reports, and no other")


if __name__ == "__main__":
    main()
