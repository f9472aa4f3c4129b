#!/usr/bin/env python3
"""Checks the style of the tree: layers, lengths, layout, and that cited pages, tests and paths exist.

usage: tidy.py ROOT    prints each finding as file:line: what, and exits 1 if there is one
"""
import pathlib
import re
import shutil
import subprocess
import sys

import citations
import limits_page
import members
import type_names

# CMakeLists.txt says which layers each layer uses; it uses what those use, too, and includes nothing else.
USES = {}
for _name, _used in re.findall(r"^sallyport_layer\((\w+)(?: +USES([\w ]*?))?(?: +LIBS.*)?\)$",
                               (pathlib.Path(__file__).resolve().parents[2] / "CMakeLists.txt").read_text(), re.M):
    USES[_name] = set(_used.split()).union(*(USES[lower] for lower in _used.split()))
# Every layer but these is pure: no sockets, TLS stack, threads, clock, randomness or files.
IMPURE = {"net", "daemon"}

STANDARD = set("""
    algorithm any array bit bitset cassert charconv chrono cmath compare concepts cstddef cstdint cstdlib cstring deque
    exception expected format functional initializer_list iterator limits list map memory new numeric optional queue
    ranges ratio set span stack stdexcept string string_view tuple type_traits typeinfo unordered_map unordered_set
    utility variant vector version""".split())
EVERYWHERE = {"fmt/format.h", "fmt/chrono.h", "fmt/ranges.h"}
# What a pure layer may use besides: digests, XML, Unicode, bytes sixteen at a time, TOML and JSON as text.
LIBRARIES = {
    "base": r"openssl/(crypto|evp|hmac|sha)\.h",
    "xmpp": r"expat\.h|unicode/\w+\.h|emmintrin\.h",
    "config": r"toml\+\+/(impl/)?\w+(\.h|\.hpp)?",
    "gate": r"boost/json(/\w+)?\.hpp",
}
# A test may also print, read a stream of text and draw seeded numbers.
IN_TESTS = STANDARD | {"gtest/gtest.h", "gmock/gmock.h", "iostream", "ostream", "sstream", "random", "iomanip"}
CLOCKS = re.compile(r"\b(system|steady|high_resolution|utc|file)_clock::now\b|\bstd::(random_device|time|rand)\b"
                    r"|\b(getrandom|gettimeofday|clock_gettime|usleep|nanosleep)\s*\(")

LINES_MAX = 450
FUNCTION_LINES_MAX = 70
# Spelt in two halves: this file is read as well.
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
TYPE_NAMES = re.compile(r"\b(?:class|struct|enum(?: class)?|using)\s+(\w*(?:Manager|Helper|Util|Utils))\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCES = {".cc", ".h", ".inc", ".py"}


def layer_of(path):
    return path.parts[1] if len(path.parts) > 2 and path.parts[0] == "src" else None


def is_test(path):
    """Tests and what only they include: fixtures and testers in headers of their own."""
    return path.stem.endswith(("_test", "_fixture", "dialogue"))


def check_include(path, kind, name):
    """None, or what is wrong with this #include in a file of a layer."""
    layer = layer_of(path)
    if layer not in USES:
        return f"`{layer}` is no layer"
    if path.name == "pch.h":
        return None  # what the build reads first; the sources are checked by their own lines
    if kind == '"':
        other = name.split("/")[0]
        if "/" not in name or other not in USES:
            return f"\"{name}\" is not in a layer"
        if other != layer and other not in USES[layer]:
            return f"{layer} must not include {other}: CMakeLists.txt does not name it"
        if is_test(pathlib.PurePath(name)) and not is_test(path):
            return f"\"{name}\" is for tests"
        return None
    if layer in IMPURE or name in STANDARD or name in EVERYWHERE:
        return None
    if is_test(path) and name in IN_TESTS:
        return None
    if layer in LIBRARIES and re.fullmatch(LIBRARIES[layer], name):
        return None
    return f"<{name}> is not on the list of what the pure layer {layer} may use"


def check_layering(path, lines):
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        wrong = check_include(path, *found.groups()) if found else None
        if wrong:
            yield number, wrong
        if layer_of(path) not in IMPURE and CLOCKS.search(line.split("//")[0]):
            yield number, "a pure layer reads no clock and draws no random number"


# A peer that chooses texts can choose collisions of std::hash (base/keyed_hash.h). Keys that may have the default
# hash: those whose std::hash is ours and keyed, numbers that we count ourselves, and template parameters.
UNORDERED = re.compile(r"\bunordered_(?:multi)?(map|set)\s*<")
DEFAULT_HASHED = re.compile(r"(const\s+)?((\w+::)*(Pair|Domain|ConnId)|std::u?int(8|16|32|64)_t|std::size_t|Key|.*\*)")
STD_HASH = re.compile(r"\bstd::hash<\s*(?!(?:\w+::)*(?:Pair|Domain|Key)\s*>)")


def template_arguments(text, begin):
    """The arguments of the template list that opens in front of `begin`, as they are written."""
    arguments, depth, start = [], 0, begin
    for at in range(begin, len(text)):
        c = text[at]
        if c in "<([":
            depth += 1
        elif c in ")]" or (c == ">" and depth > 0):
            depth -= 1
        elif c == ">" or (c == "," and depth == 0):
            arguments.append(text[start:at].strip())
            start = at + 1
            if c == ">":
                break
    return arguments


def check_hashes(path, text):
    """Unordered containers of the program whose keys a peer may choose, with a hash that has no key."""
    if layer_of(path) is None or is_test(path) or path.suffix not in {".cc", ".h"} or path.name == "keyed_hash.h":
        return
    code = re.sub(r"//[^\n]*", "", text)
    for found in UNORDERED.finditer(code):
        arguments = template_arguments(code, found.end())
        own_hash = len(arguments) > (2 if found.group(1) == "map" else 1)
        if not own_hash and arguments and not DEFAULT_HASHED.fullmatch(arguments[0]):
            yield (code.count("\n", 0, found.start()) + 1,
                   f"a hash without a key for `{arguments[0]}`: TextMap, TextSet or KeyedHash of base/keyed_hash.h")
    for found in STD_HASH.finditer(code):
        yield code.count("\n", 0, found.start()) + 1, "a hash without a key: keyed_hash of base/keyed_hash.h"


def check_length(path, lines):
    if len(lines) > LINES_MAX:
        yield LINES_MAX + 1, f"{len(lines)} lines; a file has at most {LINES_MAX}"


def check_functions(path, lines):
    """Function bodies at namespace level, as clang-format lays them out. Tests hold tables and may be longer."""
    if path.suffix not in {".cc", ".h"} or is_test(path) or path.parts[0] == "test":
        return
    begin = None
    for number, line in enumerate(lines, 1):
        if begin is None and line.endswith("{") and re.match(r"[A-Za-z_:~ ]", line):
            begin = number
            if re.match(r"(namespace|class|struct|enum|extern|union)\b", line):
                begin = -1
        elif line.startswith("}") and begin is not None:
            if begin > 0 and line == "}" and number - begin + 1 > FUNCTION_LINES_MAX:
                yield begin, f"a function of {number - begin + 1} lines; at most {FUNCTION_LINES_MAX}"
            begin = None
        if begin == -1 and line.startswith("namespace"):
            begin = None


def check_words(path, lines):
    for number, line in enumerate(lines, 1):
        word = WORDS.search(line)
        if word:
            yield number, f"{word.group(0)}: do it, or leave it out and say so in an issue"
        name = TYPE_NAMES.search(line) if path.suffix in {".cc", ".h"} else None
        if name:
            yield number, f"{name.group(1)}: name it by what it is in the field"


def check_file(path, text):
    """[(line, what)] for one file; `path` is relative to the root."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    findings = list(check_words(path, lines))
    if path.suffix in SOURCES:
        findings += check_length(path, lines)
        findings += check_functions(path, lines)
    if layer_of(path) is not None and path.suffix in {".cc", ".h"}:
        findings += check_layering(path, lines)
        findings += check_hashes(path, text)
        findings += members.check_members(layer_of(path), text)
    return sorted(findings)


def check_codes(root):
    done = subprocess.run([sys.executable, str(root / "script/codes"), "--check"], stdout=subprocess.PIPE,
                          universal_newlines=True, check=False)
    return [(1, done.stdout.strip())] if done.returncode != 0 else []


# .clang-format means what Debian 12's clang-format makes of it; another version lays out a few things differently.
FORMATTER = "version 14."


def check_format(root, paths, program="clang-format"):
    """[(path, line, what)] for the C++ files that are laid out otherwise; [] where that version is not there."""
    if shutil.which(program) is None:
        return []
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, universal_newlines=True, check=True)
    if FORMATTER not in version.stdout:
        return []
    sources = [str(p) for p in paths if p.suffix in {".cc", ".h"}]
    if not sources:
        return []
    done = subprocess.run([program, "--dry-run", *sources], cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                          universal_newlines=True, check=True)
    first = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", done.stderr, re.M):
        first.setdefault(path, int(line))
    return [(path, line, "not as clang-format lays it out") for path, line in first.items()]


def files_of(root):
    """What git knows or would add; without git, all but what is built."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
    skipped = ("build", ".git", "fuzz/corpus/", "LICENSE")
    return sorted(pathlib.Path(n) for n in names if not n.startswith(skipped) and (root / n).is_file())


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    root = pathlib.Path(arguments[0]).resolve()
    count = 0
    paths = files_of(root)
    for path, line, what in check_format(root, paths):
        print(f"{path}:{line}: {what}")
        count += 1
    for path in paths:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text
        for line, what in check_file(path, text):
            print(f"{path}:{line}: {what}")
            count += 1
    for page, line, what in limits_page.check_limits(root):
        print(f"{page}:{line}: {what}")
        count += 1
    for path, line, what in citations.check_citations(root, paths):
        print(f"{path}:{line}: {what}")
        count += 1
    sources = [p for p in paths if layer_of(p) and p.suffix in {".cc", ".h"} and not is_test(p)]
    for path, line, what in type_names.check_type_names({str(p): (root / p).read_text() for p in sources}):
        print(f"{path}:{line}: {what}")
        count += 1
    for line, what in check_codes(root):
        print(f"docs/codes.md:{line}: {what}")
        count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
