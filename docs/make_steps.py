"""Write the pages on which backprop moves; conf.py puts them into the site.

`python docs/make_steps.py FOLDER` writes them to a folder; with `--picture`, headless Chromium
draws the one of the neuron into docs/_static/steps.png, in the middle of its way.
"""

import argparse
import random
import subprocess
import tempfile
from pathlib import Path

from fastgrad import MLP, Value, viz

STATIC = Path(__file__).parent / "_static"


def neuron() -> Value:
    """Return the output of the lecture's neuron."""
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    n = x1 * w1 + x2 * w2 + Value(6.8813735870195432, label="b")
    n.label = "n"
    o = n.tanh()
    o.label = "o"
    return o


def network() -> Value:
    """Return the squared error of a network of 2 inputs, 4 hidden neurons and 1 output."""
    random.seed(1)
    model = MLP(2, [4, 1])
    for name, parameter in model.named_parameters():
        parameter.label = name.replace("layers.", "").replace("neurons.", "")
    output = model([Value(1.0, label="x1"), Value(-2.0, label="x2")])
    output.label = "output"
    loss = (output - 1.0) ** 2
    loss.label = "loss"
    return loss


PAGES = {"neuron.html": neuron, "network.html": network}


def write(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, root in PAGES.items():
        viz.explain(root()).save(folder / name)


def picture(path: Path) -> None:
    """Draw the page of the neuron after a few steps."""
    # The page is one file, so the keys are pressed by a script at its end.
    press = (
        "<script>for (let i = 0; i < 4; i++)"
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
        "</script>"
    )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "neuron.html")
        page.write_text(viz.explain(neuron()).html + press, encoding="utf-8")
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--blink-settings=preferredColorScheme=1", "--window-size=1200,540"),
                *("--virtual-time-budget=3000", f"--screenshot={path}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Write the pages, and the picture on request."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pages go")
    parser.add_argument("--picture", action="store_true", help="draw docs/_static/steps.png too")
    options = parser.parse_args()
    write(options.folder)
    if options.picture:
        picture(STATIC / "steps.png")


if __name__ == "__main__":
    main()
