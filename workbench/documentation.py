"""MkDocs hooks: what the documentation site shows besides `docs/`.

The texts at the top of the repository become pages, README.md the first one, and each module of the library gets a
page that mkdocstrings fills from its docstrings. Modules are found in the tree; nothing lists them.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "layers" / "firnline" / "firnline"
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "license.md",
}
FIRST_PAGES = ("architecture.md", "contracts.md", "decisions.md", "benchmarks.md")
"""Pages of `docs/` in this order; the others follow by name."""
LAST_PAGES = ("contributing.md", "changelog.md", "security.md", "license.md")
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in `docs/`, and name all of them in the navigation."""
    documents = sorted(file.src_uri for file in files.documentation_pages())
    for source, page in TOP_PAGES.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, page, content=top_page(source)))
    reference = modules(LIBRARY)
    for module, page in reference.items():
        files.append(File.generated(config, page, content=f"::: {module}\n"))
    ordered = [page for page in FIRST_PAGES if page in documents]
    ordered += [page for page in documents if page not in ordered]
    known = {file.src_uri for file in files}
    config.nav = [
        {"Home": "index.md"},
        *ordered,
        *(page for page in LAST_PAGES if page in known),
        {"Library": tree(reference)},
    ]
    return files


def top_page(source: str) -> str:
    """A text of the repository's top folder, with its links as the site has them.

    A link to a file that the site does not hold fails the build: name such a file without linking to it.
    """
    text = (ROOT / source).read_text(encoding="utf-8")
    if not source.endswith(".md"):
        return f"# License\n\n```\n{text}```\n"

    def on_site(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        return TOP_PAGES.get(target, target.removeprefix("docs/")) + anchor

    return _LINK.sub(on_site, text)


def modules(library: Path) -> dict[str, str]:
    """The page of each public module of a package, by the module's name, packages before what they hold."""
    found = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library.parent).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        if parts[-1] == "__init__":
            found[".".join(parts[:-1])] = "/".join(("reference", *parts[:-1], "index.md"))
        else:
            found[".".join(parts)] = "/".join(("reference", *parts)) + ".md"
    return dict(sorted(found.items(), key=lambda item: item[0].split(".")))


def tree(pages: dict[str, str]) -> list:
    """The navigation of the reference: a section a package, which starts with the package's own page."""
    root: list = []
    sections: dict[str, list] = {"": root}
    for module, page in pages.items():
        parent, _, name = module.rpartition(".")
        where = sections.get(parent, root)
        if page.endswith("/index.md"):
            sections[module] = [page]
            where.append({name: sections[module]})
        else:
            where.append({name: page})
    return root
