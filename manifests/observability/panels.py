"""What the dashboards are made of: Grafana's own panels, with Prometheus behind them."""

import itertools

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: The width of a dashboard.
COLUMNS = 24


def target(expr, legend="", **more):
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True, **more}


def panel(kind, title, description, targets, width, height, defaults, options):
    targets = [{"refId": chr(ord("A") + at), **each} for at, each in enumerate(targets)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def lines(title, unit, *targets, description="", width=12, stacked=False, maximum=None):
    """Lines over time. A target is a query and how its lines are named."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 10,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults = {"unit": unit, "min": 0, "custom": custom}
    if maximum is not None:
        defaults["max"] = maximum
    legend = {
        "displayMode": "table",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["mean", "max", "lastNotNull"],
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, [target(*each) for each in targets], width, 9, defaults, options)


def number(title, unit, expr, description="", thresholds=(), width=4):
    """One number for the time that is shown. Thresholds are values and the colours from there on."""
    steps = [{"color": "green", "value": None}, *({"color": color, "value": value} for value, color in thresholds)]
    defaults = {"unit": unit, "noValue": "0", "thresholds": {"mode": "absolute", "steps": steps}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel("stat", title, description, [target(expr)], width, 4, defaults, options)


def bars(title, unit, expr, legend, description="", width=12):
    """The largest values over the time that is shown."""
    defaults = {"unit": unit, "min": 0, "color": {"mode": "continuous-BlPu"}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    now = target(expr, legend, instant=True, range=False)
    return panel("bargauge", title, description, [now], width, 9, defaults, options)


def heatmap(title, unit, expr, description="", width=12):
    """How often a histogram's values fell into each of its buckets, over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "exponent": 0.5,
            "fill": "dark-orange",
            "reverse": False,
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False},
    }
    return panel("heatmap", title, description, [target(expr, "{{le}}", format="heatmap")], width, 9, {}, options)


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": COLUMNS, "h": 1}}


def placed(panels):
    """The panels with their places, from left to right and down."""
    numbers = itertools.count(1)
    left = top = height = 0
    for each in panels:
        place = each["gridPos"]
        if left + place["w"] > COLUMNS:
            left, top, height = 0, top + height, 0
        yield {"id": next(numbers), **each, "gridPos": {"x": left, "y": top, **place}}
        left, height = left + place["w"], max(height, place["h"])


def variable(name, label, query):
    """A choice of one, several or all of what `query` finds."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def choice(name, label, *values):
    """A choice of one of these."""
    options = [{"text": value, "value": value, "selected": value == values[0]} for value in values]
    current = {"text": values[0], "value": values[0]}
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(values),
        "options": options,
        "current": current,
    }


def dashboard(uid, title, description, variables, panels):
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1}
    others = {
        "type": "dashboards",
        "title": "Weir",
        "tags": ["weir"],
        "icon": "external link",
        "tooltip": "",
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["weir"],
        "schemaVersion": 41,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "annotations": {"list": []},
        "links": [others],
        "panels": list(placed(panels)),
    }
