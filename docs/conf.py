"""How Sphinx builds the book: see CONTRIBUTING.md, "Build the book"."""

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "asv_bench")]

# Before anything imports numba, which reads the setting once.
from benchmarks.numba_cache import use_cache_of_these_kernels  # noqa: E402

use_cache_of_these_kernels()
os.environ.setdefault("MPLBACKEND", "agg")

import fastnn  # noqa: E402

project = "fastnn"
author = copyright = "the fastnn developers"
version = release = fastnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
    "sphinx_click",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
    "programs",
]
exclude_patterns = ["_build", "**/GALLERY_HEADER.rst", "examples", "the_post"]
nitpicky = True
# What numpydoc and the classes of the standard library refer to lies in other projects' books.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|matplotlib|sklearn|typing|collections|click)\..*"),
    (r"py:class", r"(optional|tuple|dict|callable|MutableMapping|Sequence)"),
]

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "attrs_inline"]
myst_heading_anchors = 3
math_number_all = False
html_math_renderer = "mathml"

autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_class_members_toctree = False

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"svg.fonttype": "path", "font.size": 10.0}
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": ["the_post", "examples"],
    "gallery_dirs": ["post", "gallery"],
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "min_reported_time": 1e9,  # the machine that builds the book is none to compare with
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
    "image_scrapers": ("scraper.figures",),
    "matplotlib_animations": False,
    "copyfile_regex": r".*\.(md|rst)",
}
# A warning of an example is a mistake of the example.
warnings.filterwarnings("error", module=r"__main__")

# Quotation marks, but no dashes: the command's options begin with two hyphens.
smartquotes_action = "qe"
html_theme = "pydata_sphinx_theme"
html_title = "fastnn"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastnn"},
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navbar_persistent": ["search-button", "theme-switcher"],
    "navbar_end": ["navbar-icon-links"],
}
html_sidebars = {"index": [], "start": [], "speed": []}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
