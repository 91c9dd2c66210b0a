"""Settings of the site: Sphinx with MyST pages and the furo theme, built by `make docs`."""

import os
import subprocess
import sys
from importlib.metadata import version as installed_version

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

project = "fastgrad"
author = "The fastgrad contributors"
project_copyright = author
release = version = installed_version("fastgrad")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
]
root_doc = "index"
exclude_patterns = ["_build", "README.md"]
# Pages show the output that is stored in them; the tests run it and compare.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings put code into single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "fastgrad"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/fastgrad/fastgrad",
    "source_branch": "main",
    "source_directory": "docs/",
}


class CommandHelp(SphinxDirective):
    """Shows what a command prints for `--help`; the content is the command line without it."""

    has_content = True

    def run(self):
        """Run the command, and return its help as a literal block."""
        # The page is as old as the commands are, and no file says when these have changed.
        self.env.note_reread()
        _, *words = self.content[0].split()
        done = subprocess.run(
            [sys.executable, "-m", "fastgrad", *words, "--help"],
            capture_output=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        )
        if done.returncode != 0:
            raise self.error(f"{self.content[0]} --help: {done.stderr}")
        return [nodes.literal_block(done.stdout, done.stdout, language="text")]


def escape_bars(app, what, name, obj, options, lines):
    """Escape the bars of |V| and |x|, which reStructuredText would take for substitutions."""
    lines[:] = [line if line.lstrip().startswith((">>>", "...")) else line.replace("|", r"\|")
                for line in lines]  # fmt: skip


def setup(app):
    """Add the directive of this file, and the change to docstrings."""
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-docstring", escape_bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
