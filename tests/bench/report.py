"""What a run has found: tables, notes and goals for people, and all figures for programs."""

import json
import operator
import os
import platform
import sys
import time


def number(value, digits=3):
    """With so many significant digits at least, and thousands apart."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    magnitude = abs(value)
    decimals = 0
    while magnitude and magnitude < 10 ** (digits - 1) and decimals < 4:
        magnitude *= 10
        decimals += 1
    return f"{value:,.{decimals}f}"


class Table:
    def __init__(self, title, columns, rows):
        self.title, self.columns = title, columns
        self.rows = [[number(cell) for cell in row] for row in rows]

    def text(self):
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows)]
        lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
                 for row in [self.columns, *self.rows]]
        return "\n".join([self.title, *("  " + line for line in lines)])

    def markdown(self):
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        return "\n".join("| " + " | ".join(row) + " |" for row in [self.columns, rule, *self.rows])


class Goal:
    """A bound, and whether it is kept; `measured` is None where there was nothing to compare with."""

    KEPT = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}

    def __init__(self, what, measured, unit="", **bound):
        """`bound`: one of at_least, at_most, below."""
        (kind, value), = bound.items()
        kind = kind.replace("_", " ")
        self.what, self.measured = what, measured
        self.bound = f"{kind} {value:,.10g}"
        self.unit = f" {unit}" if unit else ""
        self.reached = None if measured is None else self.KEPT[kind](measured, value)

    def text(self):
        if self.reached is None:
            return f"goal: {self.what}: {self.bound}{self.unit}; not measured"
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"goal: {self.what}: {self.bound}{self.unit}; measured {number(self.measured)}: {verdict}"


SUMMARY_COLUMNS = ["", "restante", "of Dovecot's", "of Cyrus'", "of smtp-sink's", "of the bare disk's",
                   "CPU, of Dovecot's", "p50 ms", "p99 ms"]


class Report:
    def __init__(self, options):
        self.tables, self.notes, self.goals = [], [], []
        # Of the part `smtp`: the table for README, and what the picture shows.
        self.summary = Table("", SUMMARY_COLUMNS, [])
        self.cases = {}
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at the start", flush=True)
        self.figures = {"machine": {"cores": os.cpu_count(), "kernel": platform.release(), "load": load},
                        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                        "options": {k: str(v) for k, v in vars(options).items() if v}}

    def table(self, title, columns, rows):
        self.tables.append(Table(title, columns, rows))
        print(self.tables[-1].text(), flush=True)

    def note(self, text):
        self.notes.append(text)
        print(f"  note: {text}", flush=True)

    def goal(self, *args, **more):
        self.goals.append(Goal(*args, **more))
        print(f"  {self.goals[-1].text()}", flush=True)

    def recapitulate(self):
        """All goals once more, at the end of several parts."""
        judged = [g for g in self.goals if g.reached is not None]
        print(f"{sum(g.reached for g in judged)} of {len(judged)} goals reached")
        for goal in self.goals:
            print(f"  {goal.text()}")

    def summarize(self, row):
        self.summary.rows.append([number(cell) for cell in row])

    def keep(self, part, figures):
        """For --json."""
        self.figures[part] = figures

    def write_json(self, path):
        goals = [{"what": g.what, "goal": g.bound + g.unit, "measured": g.measured, "reached": g.reached}
                 for g in self.goals]
        path.write_text(json.dumps({**self.figures, "notes": self.notes, "goals": goals}, indent=2) + "\n")


class Progress:
    """A bar on standard error, where that is a terminal."""

    WIDTH = 30

    def __init__(self, steps):
        self.steps, self.done = steps, 0
        self.shown = sys.stderr.isatty()

    def step(self, doing):
        """What begins now; the steps before it are done."""
        if self.shown:
            filled = self.WIDTH * min(self.done, self.steps) // self.steps
            sys.stderr.write(f"\r\033[K[{'#' * filled}{'.' * (self.WIDTH - filled)}] {doing}")
            sys.stderr.flush()
        self.done += 1

    def end(self):
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
