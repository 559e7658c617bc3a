"""The results as tables of Markdown, which can be read as they are, too."""


def number(value, digits=3):
    """A figure with no more digits than it deserves."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def times(ratio):
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def milliseconds(microseconds):
    return number(None if microseconds is None else microseconds / 1000)


def megabytes(size):
    return f"{size / 1e6:.0f}" if size else ""


def grid(head, rows):
    """A table: the first column to the left, figures to the right."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row):
        padded = [cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (width + 2) if at == 0 else "-" * (width + 1) + ":" for at, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def rounds_table(result):
    unit = result["unit"]
    head = ["gateway", f"{unit}s/s", f"CPU us/{unit}", "ratio", "min..max", "p50 ms", "p99 ms", "first ms", "RSS MB"]
    rows, notes = [], []
    for row in result["rows"]:
        if row.get("note"):
            notes.append(f"{row['gateway']}: {row['note']}")
        if "median" not in row:
            continue
        median, ratio = row["median"], row.get("ratio")
        limit = " *" if median["load_busy"] > 0.95 else ""
        rows.append(
            [
                row["gateway"],
                number(median["per_second"]) + limit,
                number(median["cpu_us"]),
                times(ratio["median"]) if ratio else "",
                f"{times(ratio['min'])}..{times(ratio['max'])}" if ratio else "",
                milliseconds(median["p50_us"]),
                milliseconds(median["p99_us"]),
                milliseconds(median["first_us"]),
                megabytes(median["memory"]),
            ]
        )
        if limit:
            notes.append(f"*: {row['gateway']} was not the limit, but the load")
        if median["unanswered"]:
            notes.append(f"{row['gateway']}: {median['unanswered']} requests had no answer in time")
    return grid(head, rows) if rows else "", notes


def idle_table(result):
    counts = next((row["streams"] for row in result["rows"] if row["streams"]), [])
    head = ["gateway"]
    for each in counts:
        head += [f"kB/stream, {each['from']:,} to {each['to']:,}", "above bare"]
    head.append("RSS MB")
    rows, notes = [], []
    for row in result["rows"]:
        if row.get("note"):
            notes.append(f"{row['gateway']}: {row['note']}")
        if not row["streams"]:
            continue
        cells = [row["gateway"]]
        for at in range(len(counts)):
            each = row["streams"][at] if at < len(row["streams"]) else None
            cells += [f"{each['bytes_per_stream'] / 1000:.1f}" if each else ""]
            cells += [f"{each['above_bare'] / 1000:+.1f}" if each and "above_bare" in each else ""]
        rows.append([*cells, megabytes(row["streams"][-1]["memory"])])
    return grid(head, rows) if rows else "", notes


def others(results):
    """Part of the gateways' core that other processes used, on average."""
    rows = [row for result in results["scenarios"] for row in result["rows"]]
    busy = [each["others_busy"] for row in rows for each in row.get("rounds", []) if "others_busy" in each]
    return sum(busy) / len(busy) if busy else 0.0


def render(results):
    """All of it, as a page."""
    machine = results["machine"]
    parts = [
        "# Benchmark",
        f"{machine['date']}, Weir {machine['git']}, Envoy {machine['envoy']}, {machine['cpus']} x {machine['cpu']}, Linux {machine['kernel']}. "
        f"{results['rounds']} rounds of {results['round_seconds']} s. "
        "Ratio: CPU, to bare Envoy in the same round; the median of all rounds, and their extremes.",
    ]
    disturbed = others(results)
    if disturbed > 0.03:
        parts.append(f"**Other processes used {disturbed:.0%} of the gateways' core while this ran: not a quiet machine.**")
    for result in results["scenarios"]:
        table, notes = (idle_table if result["name"] == "idle" else rounds_table)(result)
        parts.append(f"## {result['title']}")
        parts += [part for part in (table, "\n".join(f"* {note}" for note in notes)) if part]
    if results["missing"]:
        parts.append("## Not here")
        parts.append("\n".join(f"* {name}: {why}" for name, why in results["missing"].items()))
    return "\n\n".join(parts) + "\n"
