"""The page's JavaScript: ES modules in `editor/`, joined into the one file that a page takes.

A module's own names are unique among all modules, so that joining needs no renaming: imports go, `export` goes, and
what is imported comes first. Node is not needed, and the same modules always make the same file.
"""

import re
from functools import cache
from importlib.resources import files

from firnline.review.task_template import EDITOR_SCRIPT

_IMPORT = re.compile(r'^import [^"]*"\./([a-z_]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|async function|class)", re.MULTILINE)
_COMMENT = re.compile(r"^[ ]*(//.*|/\*\*(?:[^*]|\*(?!/))*\*/)\n", re.MULTILINE)
_ENDING_COMMENT = re.compile(r"(?<=[;,{(\[}])[ ]+// (?:[^\n'\"`]|(?<=\w)'s\b)*$", re.MULTILINE)
"""Behind code, and with no quote in it but that of a genitive, so that it cannot be part of a text."""
_BLANK = re.compile(r"\n{2,}")
_INLINED = re.compile(r"<script data-layer-editor>.*?</script>", re.DOTALL)
_INDENTATION = re.compile(r"^[ ]+", re.MULTILINE)


@cache
def joined(entry: str) -> str:
    """The module `entry` and all that it imports, as one classic script without comments and indentation."""
    parts: dict[str, str] = {}
    _add(entry, parts, ())
    bare = _ENDING_COMMENT.sub("", _COMMENT.sub("", "".join(parts.values())))
    compact = _BLANK.sub("\n", _INDENTATION.sub("", bare)).strip()
    return f'"use strict";\n(() => {{\n{compact}\n}})();\n'


def with_editor(template: str) -> str:
    """A worker template that needs nothing of ours: layer-editor's script stands in it, for Amazon A2I."""
    return template.replace(EDITOR_SCRIPT, f"<script data-layer-editor>\n{joined('layer_editor')}</script>")


def without_editor(template: str) -> str:
    """The template as our own page shows it, which has the script as a file and whose policy forbids any other."""
    return _INLINED.sub("", template)


def _add(name: str, parts: dict[str, str], importing: tuple[str, ...]) -> None:
    """Add a module behind those that it imports; ValueError where modules import each other in a circle."""
    if name in parts:
        return
    if name in importing:
        raise ValueError(f"the modules {' → '.join((*importing, name))} import each other")
    source = files("firnline.portal").joinpath("editor", f"{name}.js").read_text(encoding="utf-8")
    for imported in _IMPORT.findall(source):
        _add(imported, parts, (*importing, name))
    parts[name] = _EXPORT.sub("", _IMPORT.sub("", source))
