"""The customer's document, and the programs in it."""

import hashlib
import re

import tools

DOCUMENT = tools.REPOSITORY / "integration-tests" / "fixtures" / "big-data-module.md"
ORIGINAL = tools.REPOSITORY.parent / "shared" / "seed" / "big-data-module.md"
DIGEST = "71fad1fe3dc6c414e0be039d948d0ecc495bacac29d1fdef1f030cf4ef8958e6"


def check():
    """Makes sure that it is the document as it stands."""
    assert hashlib.sha256(DOCUMENT.read_bytes()).hexdigest() == DIGEST
    if ORIGINAL.exists():
        assert DOCUMENT.read_bytes() == ORIGINAL.read_bytes()


def block(section, having=""):
    """The only Python block of a `### section` of the document, or the only one with a certain text in it."""
    sections = re.split(r"^#{2,3} (?=\S)", DOCUMENT.read_text(), flags=re.M)
    (body,) = [text for text in sections if text.startswith(section + " ")]
    (code,) = (code for code in re.findall(r"^```python\n(.*?)^```", body, re.S | re.M) if having in code)
    return code
