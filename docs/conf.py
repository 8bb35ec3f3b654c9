"""The configuration of Sphinx for ``make docs``. It needs no network, neither to be built nor to be read."""

import layoutopt

project = "layoutopt"
release = layoutopt.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["figures"]

html_theme = "furo"
html_title = f"layoutopt {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False  # "--io" has two dashes

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # what a frozen dataclass holds is told in its docstring, so once
default_role = "py:obj"

nitpicky = True
nitpick_ignore_regex = [
    ("py:class", ".*"),  # types in signatures: of other packages, whose sites are not asked, or of parts of a result
    ("py:.*", r"(?!layoutopt\b).*"),  # what docstrings say in backquotes and is not ours
]
