"""Files of addresses, one a line, as the load generators read them."""

import itertools

_numbers = itertools.count()


def write(directory, addresses):
    file = directory / f"addresses-{next(_numbers)}"
    file.write_text("".join(f"{address}\n" for address in addresses))
    return file


def numbered(count):
    """m0@example.org and so on."""
    return [f"m{i}@example.org" for i in range(count)]
