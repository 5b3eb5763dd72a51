"""Medians, ratios of rounds and tables, shared by bench.py and peers.py."""
import statistics


def ratios(rounds, one, other):
    """Of the times of two contenders, round by round: [(name, ...): ms] a round."""
    return [r[one] / r[other] for r in rounds if one in r and other in r and r[other] > 0]


def spread(values):
    """"1.23 (1.10 .. 1.40)": median, smallest, largest; "-" of nothing."""
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def table(head, rows):
    """Columns as wide as they need to be; the first is left-aligned."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
                     for row in cells)
