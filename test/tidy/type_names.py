"""No two types at the top level of src/ have one name: who reads it must not ask which."""
import re

import members

DEFINED = re.compile(r"^(?:template\s*<[^;{}]*?>\s*)?(?:class|struct|enum class|enum|union)\s+"
                     r"(?:\[\[\w+\]\]\s*|alignas\([^)]*\)\s*)?(\w+)(?:\s+final)?\s*(?::[^;{:][^;{]*)?\{", re.M)
ALIAS = re.compile(r"^using\s+(\w+)\s*=", re.M)
# Frames have the names of the link protocol (docs/link-protocol.md).
PROTOCOL = {"src/link/frame.h"}


def defined(path, text):
    """[(line, name)] of the types that a file defines outside of other types. An alias in a .cc is a short form there."""
    code = members.without_text(text)
    for pattern in (DEFINED, ALIAS) if path.endswith(".h") else (DEFINED,):
        for found in pattern.finditer(code):
            yield code.count("\n", 0, found.start()) + 1, found.group(1)


def check_type_names(texts):
    """`texts`: {path: text}. [(path, line, what)]"""
    first = {}
    for path, text in sorted(texts.items()):
        if path in PROTOCOL:
            continue
        for line, name in defined(path, text):
            if first.setdefault(name, (path, line))[0] != path:
                other, at = first[name]
                yield path, line, f"{name} is the name of a type in {other}:{at}, too"
