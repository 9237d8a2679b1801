"""What mkdocs asks while it builds the site: pages that lie outside docs/, and links that lead to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = {"README.md": "five-minutes.md", "DESIGN.md": "design.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """README, DESIGN, CHANGELOG and the results of benchmarks become pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for path in sorted(RESULTS.glob("*.md")) + sorted(RESULTS.glob("*.svg")):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links as they are in the repository, and results that the text names, become links within the site."""
    markdown = re.sub(r"\]\((?:\.\./)?benchmarks/results(?:/([\w-]+\.md))?\)", _result, markdown)
    for name, page in PAGES.items():
        markdown = re.sub(rf"\]\((\.\./)?{re.escape(name)}", f"]({page}", markdown)
    markdown = markdown.replace("](docs/", "](")
    return re.sub(r"(?<![\w/`\[])benchmarks/results/(\w+)\.md", r"[\g<0>](results/\1.md)", markdown)


def _result(link: re.Match[str]) -> str:
    return f"](results/{link[1] or 'models.md'})"
