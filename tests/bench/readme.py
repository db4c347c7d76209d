"""The table of README.md that `./dev bench smtp --update-readme` keeps up to date."""

import re

BEGIN, END = "<!-- ./dev bench --update-readme writes this table -->", "<!-- end of the table -->"


def replaced(text, table):
    """`text` with `table` between the two markers."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"not exactly one place between `{BEGIN}` and `{END}`")
    return pattern.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text)


def update(path, table):
    path.write_text(replaced(path.read_text(), table))
