"""Checks that what comments and documents cite exists.

These forms are citations; a text wraps them over lines as it likes:
    DESIGN invariant 2, DESIGN invariants 3 and 5, DESIGN "Group chat"      docs/DESIGN.md
    THREATS B6, THREATS A6, A7, THREATS A1-A8, THREATS A (the whole group)  docs/THREATS.md
    docs/limits.md, docs/limits.md "Fair shares", docs/limits.md#fair-shares, and links between pages
    src/gate, base/limits.h, test/tidy, net/driver (any ending), link/frame.*, fuzz/NAME.cc (any name)
    `XmlLimits.elements_nest_so_deep_and_no_deeper`, on a page: a test
A path begins with a folder of the repository or of src/. Comments, docstrings and pages are read; of C++ strings only
documents count, and Python strings are data.
"""
import ast
import io
import pathlib
import re
import tokenize

PLAIN = {".cc", ".h", ".inc"}
HASHED = {"", ".cmake", ".txt", ".service", ".sysusers", ".toml"}

CPP_TOKEN = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?<!\w)'(?:\\.|[^'\\\n])+'", re.DOTALL)
HASH_COMMENT = re.compile(r"(?:^|\s)#(?!!)(.*)")

NUMBERS = re.compile(r"DESIGN,? invariants? (\d+(?:(?:, | and |-)\d+)*)(?![\w-])")
SECTION = re.compile(r'DESIGN,? "([^"]+)"')
DESIGN = re.compile(r"(?<![\w/])(?<!\]\()DESIGN\b(?!\.md\]\()")
IDS = re.compile(r"THREATS ([A-Z]\d+(?:-[A-Z]?\d+)?(?:(?:, | and )[A-Z]\d+(?:-[A-Z]?\d+)?)*|[A-Z])(?!\w)")
THREATS = re.compile(r"(?<![\w/])(?<!\]\()THREATS\b(?!\.md\]\()")
PAGE = re.compile(r'(?<![\w./-])docs/([\w-]+\.md)(#[\w-]+)?(?:[`)]?,? "([^"]+)")?')
GTEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
TEST = re.compile(r"`([A-Z]\w+)\.([a-z]\w*_\w+)`")
LINK = re.compile(r'\]\(([^)#\s:]*)(#[\w-]+)?\)(?:,? "([^"]+)")?')


# --- which text of a file is read: [(kind, [(line, text)])], kind one of "page", "comment", "string"
def cpp_passages(text):
    passages, block, end = [], [], -1
    for found in CPP_TOKEN.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found.group("string"):
            passages.append(("string", [(line, found.group("string")[1:-1])]))
        if not found.group("comment"):
            continue
        if line > end + 1 and block:
            passages.append(("comment", block))
            block = []
        for row in found.group("comment").split("\n"):
            block.append((line, row.strip().lstrip("/*").rstrip("/*")))
            end = line
            line += 1
    return passages + ([("comment", block)] if block else [])


def hash_passages(text):
    passages, block = [], []
    for number, line in enumerate(text.split("\n"), 1):
        found = HASH_COMMENT.search(line)
        if found:
            block.append((number, found.group(1)))
        elif block:
            passages.append(("comment", block))
            block = []
    return passages + ([("comment", block)] if block else [])


def python_passages(text):
    rows = [(token.start[0], token.string.lstrip("#")) for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT and not token.string.startswith("#!")]
    passages = []
    for number, row in rows:
        if passages and passages[-1][1][-1][0] == number - 1:
            passages[-1][1].append((number, row))
        else:
            passages.append(("comment", [(number, row)]))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            first = node.body[0].lineno
            lines = text.split("\n")[first - 1:node.body[0].end_lineno]
            passages.append(("comment", list(enumerate(lines, first))))
    return passages


def page_passages(text):
    return [("page", list(enumerate(text.split("\n"), 1)))]


def passages_of(path, text):
    if path.suffix == ".md":
        return page_passages(text)
    if path.suffix in PLAIN:
        return cpp_passages(text)
    if path.suffix == ".py" or re.match(r"#!.*python", text):
        return python_passages(text)
    return hash_passages(text) if path.suffix in HASHED else []


# --- what there is
def headings(page):
    """The titles of a page's sections."""
    return {" ".join(title.replace("`", "").split()) for title in re.findall(r"^#+ +(.+?) *$", page, re.MULTILINE)}


def anchor(title):
    return "#" + re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


class Tree:
    """The documents and paths that a citation may name."""

    def __init__(self, root):
        self.root = root
        self.pages = {page.name: headings(page.read_text(encoding="utf-8")) for page in (root / "docs").glob("*.md")}
        design, threats = ((root / "docs" / name) for name in ("DESIGN.md", "THREATS.md"))
        text = design.read_text(encoding="utf-8") if design.exists() else ""
        invariants = re.search(r"^## Invariants$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        self.invariants = {int(n) for n in re.findall(r"^(\d+)\. ", invariants.group(1) if invariants else "", re.MULTILINE)}
        text = threats.read_text(encoding="utf-8") if threats.exists() else ""
        self.threats = set(re.findall(r"^\| ([A-Z]\d+) \|", text, re.MULTILINE))
        folders = [f.name for f in [*root.iterdir(), *(root / "src").glob("*")] if f.is_dir()]
        # What is built is not in the tree: whether build/ has it depends on what was built last.
        names = "|".join(sorted(name for name in folders if re.fullmatch(r"[a-z]\w*", name) and name != "build"))
        # Not within a longer path, a URL, a quoted value or a type such as `text/plain`.
        self.path = re.compile(r"""(?<![\w./:@"'{}$<-])((?:%s)/[\w*][\w.*/-]*)""" % (names or "(?!)"))
        self.tests = set()
        for source in (root / "src").glob("*/*_test.cc"):
            self.tests.update(GTEST.findall(source.read_text(encoding="utf-8")))
        for source in (root / "test").glob("*/*_test.cc"):
            self.tests.update(GTEST.findall(source.read_text(encoding="utf-8")))

    def has(self, name):
        pattern = re.sub(r"\b[A-Z]{4,}\b", "*", name.rstrip("/"))
        for base in (self.root, self.root / "src"):
            if any(base.glob(pattern)) or (("." not in pattern.split("/")[-1]) and any(base.glob(pattern + ".*"))):
                return True
        return False

    def lacks_on_page(self, page, fragment, section):
        """None, or what of docs/PAGE#fragment "section" is absent."""
        if page not in self.pages:
            return f"docs/{page} is absent"
        if fragment and fragment not in {anchor(title) for title in self.pages[page]}:
            return f"docs/{page} has no section for `{fragment}`"
        if section and " ".join(section.replace("`", "").split()) not in self.pages[page]:
            return f'docs/{page} has no section "{section}"'
        return None


# --- what is cited: (offset in the passage, what is wrong)
def numbers_of(listed):
    for item in re.split(r", | and ", listed):
        first, _, last = item.partition("-")
        yield from range(int(first), int(last or first) + 1)


def ids_of(listed):
    """The ids of a list; a range that makes no sense stands for itself, so that it is absent."""
    for item in re.split(r", | and ", listed):
        ends = re.fullmatch(r"([A-Z])(\d+)-([A-Z]?)(\d+)", item)
        if not ends:
            yield item
        elif ends.group(3) not in ("", ends.group(1)) or int(ends.group(2)) >= int(ends.group(4)):
            yield item
        else:
            yield from (f"{ends.group(1)}{n}" for n in range(int(ends.group(2)), int(ends.group(4)) + 1))


def check_design(tree, text):
    understood = set()
    for found in NUMBERS.finditer(text):
        understood.add(found.start())
        for number in numbers_of(found.group(1)):
            if number not in tree.invariants:
                yield found.start(), f"docs/DESIGN.md has no invariant {number}"
    for found in SECTION.finditer(text):
        understood.add(found.start())
        wrong = tree.lacks_on_page("DESIGN.md", None, found.group(1))
        if wrong:
            yield found.start(), wrong
    for found in DESIGN.finditer(text):
        if found.start() not in understood:
            yield found.start(), 'DESIGN without "invariant N" or a "Section"'


def check_threats(tree, text):
    understood = set()
    for found in IDS.finditer(text):
        understood.add(found.start())
        for name in ids_of(found.group(1)):
            if name not in tree.threats and not (len(name) == 1 and any(t.startswith(name) for t in tree.threats)):
                yield found.start(), f"docs/THREATS.md has no row {name}"
    for found in THREATS.finditer(text):
        if found.start() not in understood:
            yield found.start(), "THREATS without the id of a row or a group"


def check_pages(tree, text):
    for found in PAGE.finditer(text):
        wrong = tree.lacks_on_page(*found.groups())
        if wrong:
            yield found.start(), wrong


def check_links(tree, path, text):
    for found in LINK.finditer(text):
        name, fragment, section = found.groups()
        target = (path.parent / name) if name else path
        if not (tree.root / target).exists():
            yield found.start(), f"{name} is absent"
        elif (fragment or section) and target.parent == pathlib.PurePath("docs"):
            wrong = tree.lacks_on_page(target.name, fragment, section)
            if wrong:
                yield found.start(), wrong


def check_paths(tree, text):
    for found in tree.path.finditer(text):
        name = found.group(1).rstrip(".-")
        if not PAGE.fullmatch(name) and not tree.has(name):
            yield found.start(), f"{name} is absent"


def check_tests(tree, text):
    for found in TEST.finditer(text):
        if found.groups() not in tree.tests:
            yield found.start(), f"the test {found.group(1)}.{found.group(2)} is absent"


def check_text(tree, path, text):
    """[(line, what)] for one file; `path` is relative to the root."""
    findings = []
    for kind, rows in passages_of(path, text):
        joined, begins = "", []
        for number, row in rows:
            begins.append((len(joined), number))
            joined += " ".join(row.split()) + (" " if row.strip() else "\n")
        found = [*check_design(tree, joined), *check_threats(tree, joined), *check_pages(tree, joined)]
        if kind == "page":
            found += [*check_links(tree, path, joined), *check_tests(tree, joined)]
        if kind != "string":
            found += check_paths(tree, joined)
        findings += [(max(number for begin, number in begins if begin <= at), what) for at, what in found]
    return sorted(set(findings))


def check_citations(root, paths):
    """[(path, line, what)] for all files."""
    tree = Tree(root)
    findings = []
    for path in paths:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text
        findings += [(path, *finding) for finding in check_text(tree, path, text)]
    return findings
