"""Sphinx configuration of the documentation."""

project = "deriva-ml"
author = "The deriva-ml maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = "deriva-ml"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
