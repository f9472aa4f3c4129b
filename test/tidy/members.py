"""How many data members a class has: a class of many is several things, and nobody can say what it keeps true."""
import re

MEMBERS_MAX = 12
LAYERS = {"gate", "s2s"}

TYPE = re.compile(r"\b(?:class|struct)\s+(?:\[\[\w+\]\]\s*)?([\w:]+)(?:\s+final)?\s*(?::[^;{]*)?\{")
NOT_A_MEMBER = re.compile(r"(using|friend|static|typedef|enum|class|struct|union|template|explicit|virtual|operator)\b")


def without_text(code):
    """The code with comments and the contents of strings blanked, so that offsets and lines stay."""
    blank = lambda found: re.sub(r"[^\n]", " ", found.group(0))  # noqa: E731
    code = re.sub(r"//[^\n]*|/\*.*?\*/", blank, code, flags=re.S)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)\'', blank, code)


def end_of(code, at):
    """Where the brace that opens at `at` closes."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"{": 1, "}": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return len(code)


def statements(body):
    """The declarations of a class body, each without what stands in its braces."""
    text, at = "", 0
    while at < len(body):
        c = body[at]
        if c == "{":
            at = end_of(body, at)
            head = text.strip()
            # A function's body ends it; a type or an initialiser goes on to the semicolon.
            if "(" in without_templates(head.split("=")[0]) and not TYPE.match(head + "{"):
                text = ""
            else:
                text += "{}"
        elif c == ";":
            yield text.strip()
            text = ""
        else:
            text += c
        at += 1


def without_templates(text):
    while True:
        shorter = re.sub(r"<[^<>]*>", "", text)
        if shorter == text:
            return text
        text = shorter


def is_member(declaration):
    declaration = re.sub(r"\b(public|private|protected)\s*:(?!:)", "", declaration).strip()
    nested = re.match(r"(?:struct|class|union)\b[^{]*\{\}\s*(\w+)$", declaration)
    if nested:
        return True  # of a type that is made on the spot
    if not declaration or NOT_A_MEMBER.match(declaration):
        return False
    head = without_templates(re.split(r"[={]", declaration)[0]).strip()
    return "(" not in head and len(head.split()) > 1


def check_members(layer, text):
    """[(line, what)] for the classes of one file that have too many."""
    if layer not in LAYERS:
        return
    code = without_text(text)
    for found in TYPE.finditer(code):
        body = code[found.end():end_of(code, found.end() - 1)]
        count = sum(map(is_member, statements(body)))
        if count > MEMBERS_MAX:
            yield (code.count("\n", 0, found.start()) + 1,
                   f"`{found.group(1)}` has {count} data members; a class has at most {MEMBERS_MAX}")
