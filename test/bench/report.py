# SPDX-License-Identifier: Apache-2.0
"""Measured values with their spread, tables of them, and what was aimed at."""
import statistics


class Sample:
    """Values of several rounds: median, and the middle half of them as spread."""

    def __init__(self, values):
        self.values = [float(value) for value in values]

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def data(self):
        low, high = self.quartiles
        return {"median": self.median, "q1": low, "q3": high, "n": len(self.values),
                "values": self.values}

    @property
    def notch(self):
        """Where the median may really be: half the width of a box plot's notch."""
        low, high = self.quartiles
        return 1.57 * (high - low) / len(self.values) ** 0.5 if len(self.values) > 2 else 0.0

    def text(self, digits=0):
        low, high = self.quartiles
        return (f"{self.median:.{digits}f}" if len(self.values) < 2
                else f"{self.median:.{digits}f} [{low:.{digits}f} … {high:.{digits}f}]")


def paired(values, base):
    """The ratio round by round: what slows the machine for a while slows both."""
    return Sample(a / b for a, b in zip(values, base) if b)


def at_most(ratio, limit):
    """Whether a ratio is that low; None if its spread, or a single round, does not tell."""
    if len(ratio.values) < 2 or abs(ratio.median - limit) < ratio.notch:
        return None
    return ratio.median <= limit


def at_least(ratio, limit):
    below = at_most(ratio, limit)
    return None if below is None else not below or ratio.median == limit


class Part:
    """What a part found: tables, bars of the chart, and goals."""

    def __init__(self):
        self.tables, self.charts, self.goals, self.raw = [], [], [], {}

    def table(self, title, columns, rows):
        self.tables.append({"title": title, "columns": columns,
                            "rows": [[str(cell) for cell in row] for row in rows]})

    def chart(self, title, unit, bars, base=None):
        """bars: (label, Sample); base: where to draw a line."""
        self.charts.append({"title": title, "unit": unit, "base": base,
                            "bars": [dict(sample.data(), label=label) for label, sample in bars]})

    def goal(self, what, measured, reached):
        """reached: true, false, or None: can't be told from these rounds."""
        self.goals.append({"goal": what, "measured": str(measured), "reached": reached})

    def data(self):
        return {"tables": self.tables, "charts": self.charts, "goals": self.goals, "raw": self.raw}

    def show(self):
        for table in self.tables:
            print_table(table)


def print_table(table):
    lines = [table["columns"]] + table["rows"]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table["columns"]))]
    print(f"\n{table['title']}")
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def print_machine(machine):
    for name, value in machine.items():
        print(f"{name:12} {value}")


def print_goals(result):
    print("\nAimed at")
    for name, part in result["parts"].items():
        for goal in part["goals"]:
            mark = {True: "reached    ", False: "NOT reached", None: "can't tell "}[goal["reached"]]
            print(f"  {mark}  {name}: {goal['goal']}: {goal['measured']}")
