"""Compares docs/limits.md with src/base/limits.h and with the keys of [limits].

A row whose cells are a constant and its value, in either order and next to each other, is checked:
    | `kDialTimeout` | 20 s | ...        | `streams` | 50,000 | `kStreamsMax` | ...
"""
import re

UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
CONSTANT = re.compile(r"^inline constexpr [\w:]+ (k\w+) =([^;]+);", re.MULTILINE)
DURATION = re.compile(r"\b(\d+)(us|ms|s|min|h)\b")
NAME = re.compile(r"`(k[A-Z]\w+)`")
VALUE = re.compile(r"([\d,.]+)(?: (\w+))?")
KEY = re.compile(r'LimitKey\{"(\w+)"')


def constants(header):
    """{name: value}; durations in seconds. Values are sums and products of numbers and of constants above."""
    found = {}
    for name, expression in CONSTANT.findall(header):
        text = DURATION.sub(lambda m: str(int(m.group(1)) * {"us": 1e-6, **UNITS}[m.group(2)]),
                            expression.replace("'", ""))
        text = re.sub(r"\bk\w+", lambda m: str(found[m.group(0)]), text)
        if not re.fullmatch(r"[\d\s.e*+/()-]+", text):
            raise ValueError(f"{name}: cannot read `{expression.strip()}`")
        found[name] = eval(text)  # pylint: disable=eval-used
    return found


def value_of(cell):
    """The number that a cell shows, or None."""
    shown = VALUE.fullmatch(cell)
    if not shown or (shown.group(2) and shown.group(2) not in UNITS):
        return None
    return float(shown.group(1).replace(",", "")) * UNITS.get(shown.group(2), 1)


def check_page(page, values):
    """[(line, what)] for each constant on the page that does not exist or is not shown with its value."""
    findings = []
    for number, line in enumerate(page.split("\n"), 1):
        for name in NAME.findall(line):
            if name not in values:
                findings.append((number, f"`{name}` is not in src/base/limits.h"))
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        for at, cell in enumerate(cells):
            name = NAME.fullmatch(cell)
            if not name or name.group(1) not in values:
                continue
            beside = [value_of(c) for c in cells[max(at - 1, 0):at + 2]]
            if not any(v is not None and abs(v - values[name.group(1)]) < 1e-9 for v in beside):
                findings.append((number, f"`{name.group(1)}` is {values[name.group(1)]:g} in src/base/limits.h"))
    return findings


def check_limits(root):
    """[(page, line, what)] for docs/limits.md, and for the keys of [limits] in it and in docs/configuration.md."""
    if not (root / "docs/limits.md").exists():
        return []  # a sample of a tree; that this tree has the page is a test of its own
    headers = [root / "src/base" / name for name in ("delivery_limits.h", "presence_limits.h", "limits.h")]
    values = constants("".join(h.read_text(encoding="utf-8") for h in headers if h.exists()))
    keys = KEY.findall((root / "src/config/limits_config.cc").read_text(encoding="utf-8"))
    page = (root / "docs/limits.md").read_text(encoding="utf-8")
    findings = [("docs/limits.md", *finding) for finding in check_page(page, values)]
    for name in ("docs/limits.md", "docs/configuration.md"):
        text = (root / name).read_text(encoding="utf-8")
        findings += [(name, 1, f"the key `{key}` of [limits] is absent") for key in keys if f"`{key}`" not in text]
    return findings
