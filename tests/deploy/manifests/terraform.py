"""Terraform's language without its providers: is what is named there?"""

import re

import hcl2

#: Names that an expression begins with and that stand for no resource.
BUILT_IN = {"var", "local", "module", "data", "each", "count", "self", "path", "terraform"}


class Configuration:
    """All files of a folder."""

    def __init__(self, folder):
        self.files = {file.name: hcl2.loads(file.read_text()) for file in sorted(folder.glob("*.tf"))}

    def blocks(self, kind):
        """The blocks of a kind: labels, content."""
        for file in self.files.values():
            for block in file.get(kind, []):
                yield from unfold(block)

    def names(self, kind):
        """What blocks of a kind define."""
        if kind == "locals":
            return {name for _, block in self.blocks("locals") for name in block if not name.startswith("__")}
        return {".".join(labels) for labels, _ in self.blocks(kind)}

    def references(self):
        """Everything that expressions name, as written, such as `var.region`."""
        return {reference for text in strings(self.files) for reference in named_in(text)}

    def unresolved(self):
        """References to what is not there."""
        there = {
            *(f"var.{name}" for name in self.names("variable")),
            *(f"local.{name}" for name in self.names("locals")),
            *(f"module.{name}" for name in self.names("module")),
            *(f"data.{name}" for name in self.names("data")),
            *self.names("resource"),
        }
        return {reference for reference in self.references() if reference not in there}


def unquoted(text):
    """Labels keep their quotes in what the parser gives."""
    return text.strip('"') if isinstance(text, str) else text


def unfold(block):
    """A block's labels are nested objects of one member."""
    labels = []
    while True:
        members = {name: value for name, value in block.items() if not name.startswith("__")}
        only = next(iter(members.items()), None) if len(members) == 1 else None
        if only is None or not only[0].startswith('"') or not isinstance(only[1], dict):
            return [(labels, block)] if labels or not only else [([], block)]
        labels.append(unquoted(only[0]))
        block = only[1]


def strings(value):
    """All texts in it."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from strings(name)
            yield from strings(below)
    elif isinstance(value, list):
        for below in value:
            yield from strings(below)
    elif isinstance(value, str):
        yield value


def named_in(text):
    """References in the expressions of a text."""
    for expression in expressions(text):
        # Texts within an expression, such as the keys of a subnet's tags, name nothing; their own expressions do.
        for inner in re.findall(r'"((?:[^"\\]|\\.)*)"', expression):
            yield from named_in(inner)
        expression = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
        loops = set(re.findall(r"\bfor\s+(\w+)", expression)) | set(re.findall(r"\bfor\s+\w+\s*,\s*(\w+)", expression))
        for path in re.findall(r"(?<![\w.])([a-z_]\w*(?:\.[a-zA-Z_]\w*)+)", expression):
            first, second, *rest = path.split(".")
            if first in loops or first in BUILT_IN - {"var", "local", "module", "data"}:
                continue
            yield ".".join([first, second, *rest[:1]]) if first == "data" else f"{first}.{second}"


def expressions(text):
    """What stands in `${...}`, braces within it included."""
    start = 0
    while (start := text.find("${", start)) >= 0:
        depth, end = 1, start + 2
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield text[start + 2 : end - 1]
        start = end
