"""The results as SVG."""

import pathlib

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same results give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weir", "axes.spines.top": False, "axes.spines.right": False})

from matplotlib import pyplot, ticker  # noqa: E402  (after the backend was chosen)

COLOURS = ["#8c8c8c", "#bdbdbd", "#d9a441", "#1b6ca8", "#62b0e8", "#b5524a", "#7d5ba6", "#5a9367", "#444444"]
RATIOS = ["chat-16", "prompt-100k", "prompt-1m", "embeddings-1m", "sse-2000", "paced", "translate", "translate-stream"]


def save(figure, directory, name):
    path = pathlib.Path(directory) / name
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)
    return path


def logarithmic(axes):
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def draw(results, directory):
    """Draws what there are results for; the files."""
    by_name = {result["name"]: result for result in results["scenarios"]}
    drawn = [ratios(by_name, directory), lengths(by_name, directory), models(by_name, directory)]
    return [path for path in drawn if path]


def ratios(by_name, directory):
    chosen = [by_name[name] for name in RATIOS if name in by_name]
    names = list(dict.fromkeys(row["gateway"] for result in chosen for row in result["rows"] if "ratio" in row))
    if not names:
        return None
    figure, axes = pyplot.subplots(figsize=(10, 4.5))
    width = 0.85 / len(names)
    for at, name in enumerate(names):
        for place, result in enumerate(chosen):
            ratio = next((row["ratio"] for row in result["rows"] if row["gateway"] == name and "ratio" in row), None)
            if ratio:
                middle = place + (at - (len(names) - 1) / 2) * width
                reach = [[ratio["median"] - ratio["min"]], [ratio["max"] - ratio["median"]]]
                axes.bar(middle, ratio["median"], width, yerr=reach, color=COLOURS[at % len(COLOURS)], ecolor="#333333")
    for at, name in enumerate(names):
        axes.bar(0, 0, color=COLOURS[at % len(COLOURS)], label=name)
    axes.axhline(1, color="#333333", linewidth=0.8)
    highest = max(row["ratio"]["max"] for result in chosen for row in result["rows"] if "ratio" in row)
    if highest > 8:
        logarithmic(axes)
        axes.set_ylim(bottom=0.5)
    axes.set_xticks(range(len(chosen)), [result["name"].replace("-", "\n", 1) for result in chosen])
    axes.set_ylabel("CPU, bare Envoy = 1")
    axes.legend(frameon=False, fontsize="small")
    return save(figure, directory, "cpu.svg")


def lengths(by_name, directory):
    chosen = sorted((int(name[4:]), result) for name, result in by_name.items() if name.startswith("sse-"))
    if len(chosen) < 2:
        return None
    figure, axes = pyplot.subplots(figsize=(6, 4))
    names = list(dict.fromkeys(row["gateway"] for _, result in chosen for row in result["rows"]))
    for at, name in enumerate(names):
        points = [
            (length, row["median"]["cpu_us"])
            for length, result in chosen
            for row in result["rows"]
            if row["gateway"] == name and "median" in row
        ]
        if points:
            axes.plot(*zip(*points), marker="o", label=name, color=COLOURS[at % len(COLOURS)])
    axes.set_xscale("log")
    axes.set_xticks([length for length, _ in chosen], [f"{length:,}" for length, _ in chosen])
    axes.minorticks_off()
    costs = [row["median"]["cpu_us"] for _, result in chosen for row in result["rows"] if "median" in row]
    if max(costs, default=1) > 10 * min(costs, default=1):
        logarithmic(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("chunks of the stream")
    axes.set_ylabel("CPU us per chunk")
    axes.legend(frameon=False, fontsize="small")
    return save(figure, directory, "stream-length.svg")


def models(by_name, directory):
    rows = [row for row in by_name.get("models", {"rows": []})["rows"] if "median" in row]
    if not rows:
        return None
    figure, axes = pyplot.subplots(figsize=(6, 4))
    series = {}
    for row in rows:
        name, count = row["gateway"].split(", ", 1)
        series.setdefault(name, []).append((int(count.split()[0].replace(",", "")), row["median"]["per_second"]))
    for at, (name, points) in enumerate(series.items()):
        axes.plot(*zip(*points), marker="o", label=name, color=COLOURS[3 + at])
    counts = sorted({count for points in series.values() for count, _ in points})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("models in the routes")
    axes.set_ylabel("requests per second")
    axes.legend(frameon=False, fontsize="small")
    return save(figure, directory, "models.svg")
