"""How the site is built: `make docs` makes build/docs, from what lies here and in the code."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from gallery import write_gallery  # noqa: E402
from rooms import draw_rooms  # noqa: E402

from mrgantry.common.version import VERSION  # noqa: E402
from verbs import write_verbs  # noqa: E402

# Commands in tutorials are those of this installation.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["COLUMNS"] = "100"
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm, in what is imported

# Pages that are made from the code, anew with every build.
write_verbs(HERE / "verbs")
draw_rooms(HERE.parent / "pyproject.toml", HERE / "images" / "rooms.svg")
write_gallery(HERE / "images" / "gallery", HERE / "gallery.md")

project = "mrgantry"
author = "the authors of mrgantry"
project_copyright = "the authors of mrgantry; Apache-2.0"
version = release = VERSION

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["extensions"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Tutorials are executed, each in a folder of its own; what has not changed since is not run again.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the sentences of Args say what is given, in words
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "pydata_sphinx_theme"
html_title = "mrgantry"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("index", "start", "reference", "gallery")}
html_theme_options = {
    "logo": {"text": "mrgantry"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
}
