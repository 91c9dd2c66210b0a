"""Settings of the site: Sphinx with MyST pages and the furo theme, built by `make docs`."""

import os
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import fastgrad
from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
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
# The cells of notebooks that are folded are solutions of exercises.
nb_code_prompt_show = "Solution"
nb_code_prompt_hide = "Fold the solution"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# A fence without a name is a tree of files or a drawing.
highlight_language = "none"

# Docstrings put code into single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# A class shows what it inherits, but for the members of these, which have sections of their own.
SHOWN_ONCE = "Model, Module, BaseException, Exception, Warning, tuple, object"
autodoc_default_options = {
    "members": True,
    "undoc-members": False,
    "inherited-members": SHOWN_ONCE,
}
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


def rewrite_docstring(app, what, name, obj, options, lines):
    """Make reStructuredText of a docstring: formulas are indented, and a bar is a bar."""
    rewritten, example, formula = [], False, False
    for line in lines:
        text = line.strip()
        example = bool(text) and (example or text.startswith(">>>"))
        if text and not line.startswith("    "):
            formula = False
        elif text and not example and not formula and not rewritten[-1]:
            formula = True
            rewritten += [".. code-block:: text", ""]
        # Elsewhere |V| would be a substitution.
        rewritten.append(line if example or formula else line.replace("|", r"\|"))
    lines[:] = rewritten


def skip_member(app, what, name, obj, skip, options):
    """Leave out fields of named tuples, and the names that files have for kinds of models."""
    field = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if field or name in ("kind", "kinds") else None


def hide_signature(app, what, name, obj, options, signature, return_annotation):
    """Show no signature of a protocol, which nobody calls, and none of long types of fields."""
    meaningless = getattr(obj, "_is_protocol", False) or "<factory>" in (signature or "")
    return ("", None) if what == "class" and meaningless else None


def find_stub(app, modname):
    """Return the stub of the compiled core as its source, which has none in Python."""
    if modname != "fastgrad._core":
        return None
    stub = ModuleAnalyzer.for_file(f"{fastgrad.__path__[0]}/_core.pyi", modname)
    return stub.code, stub.find_tags()


def write_steps(app, exception):
    """Add the pages that steps.md shows: backpropagation, one node at a time."""
    if exception is None and app.builder.format == "html":
        script = Path(__file__).with_name("make_steps.py")
        subprocess.run([sys.executable, str(script), str(Path(app.outdir, "steps"))], check=True)


def setup(app):
    """Add the directive of this file, what it changes of docstrings, and the pages of steps.md."""
    app.connect("build-finished", write_steps)
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-docstring", rewrite_docstring)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-signature", hide_signature)
    app.connect("viewcode-find-source", find_stub)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
