"""A picture of what the part `smtp` has found: one field for each case, one bar for each server."""

from bench import rounds


def draw(cases, path):
    """`cases`: {title: {server: [Sample]}}."""
    import matplotlib  # Not everybody wants a picture: ./dev installs it with --plot.

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, fields = pyplot.subplots(1, len(cases), figsize=(4 * len(cases), 4), squeeze=False)
    for field, (title, samples) in zip(fields[0], cases.items()):
        names = list(samples)
        middle = [rounds.median(of, "rate") for of in samples.values()]
        spread = [[m - min(s.rate for s in of) for m, of in zip(middle, samples.values())],
                  [max(s.rate for s in of) - m for m, of in zip(middle, samples.values())]]
        colors = ["tab:red" if name.startswith("restante") else "tab:gray" for name in names]
        field.bar(range(len(names)), middle, yerr=spread, color=colors, capsize=3)
        field.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
        field.set_yscale("log")
        field.set_ylim(1, 3 * max(s.rate for of in samples.values() for s in of))
        field.set_title(title, fontsize=10)
        for x, (value, of) in enumerate(zip(middle, samples.values())):
            highest = max(s.rate for s in of)
            field.annotate(f"{value:,.0f}", (x, 1.1 * highest), ha="center", va="bottom", fontsize=8)
    fields[0][0].set_ylabel("a second, median of the rounds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
