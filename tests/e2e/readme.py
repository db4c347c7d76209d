"""Takes the examples out of README.md, so that the tests run what people read.

    python3 readme.py LANGUAGE      writes the example to standard output
"""

import pathlib
import re
import sys


def example(language, word="Deliver"):
    """The one fenced block of that language with that word in it."""
    text = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    found = [block for block in blocks if word in block]
    assert len(found) == 1, f"README.md has {len(found)} {language} examples with {word}"
    return found[0]


if __name__ == "__main__":
    sys.stdout.write(example(sys.argv[1]))
