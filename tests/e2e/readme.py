"""Takes the examples out of README.md, so that the tests run what people read.

    python3 readme.py LANGUAGE      writes the example to standard output
"""

import pathlib
import re
import sys


def example(language):
    """The one fenced block of that language that delivers a message."""
    text = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    found = [block for block in blocks if "Deliver" in block]
    assert len(found) == 1, f"README.md has {len(found)} {language} examples that deliver"
    return found[0]


if __name__ == "__main__":
    sys.stdout.write(example(sys.argv[1]))
