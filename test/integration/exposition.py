# SPDX-License-Identifier: Apache-2.0
"""Checks Prometheus' text exposition format 0.0.4: its grammar, and what `promtool check metrics` asks of
names.  Prometheus' own parser for Python reads the text besides."""
import math
import re

from prometheus_client.parser import text_string_to_metric_families

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (\S+)")
ABBREVIATED = re.compile(r"_(s|ms|us|ns|sec|secs|min|mins|h|hours|days|kb|mb|bytes_total_size)$")


def faults(text):
    """What is wrong, a list of sentences."""
    found, families, current, seen = [], {}, None, set()
    if not text.endswith("\n"):
        found.append("no newline at the end")
    for line in text.splitlines():
        comment = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        if comment:
            kind, name, rest = comment.groups()
            family = families.setdefault(name, {"samples": []})
            if kind in family:
                found.append(f"{kind} of {name} twice")
            if family["samples"]:
                found.append(f"{kind} of {name} behind its samples")
            family[kind], current = rest, name
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample:
            found.append(f"not a line of the format: {line!r}")
            continue
        name, labels = sample.group(1), tuple(sorted(re.findall(LABEL, sample.group(2) or "")))
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        owner = base if families.get(base, {}).get("TYPE") == "histogram" else name
        if owner != current:
            found.append(f"{name} does not stand behind its TYPE")
            continue
        if (name, labels) in seen:
            found.append(f"{name}{labels} twice")
        if len({label for label, _ in labels}) != len(labels):
            found.append(f"{name}: a label twice")
        seen.add((name, labels))
        families[owner]["samples"].append((name, dict(labels), float(sample.group(sample.re.groups))))
    for name, family in families.items():
        found += family_faults(name, family)
    return found


def family_faults(name, family):
    found, kind = [], family.get("TYPE")
    if not family.get("HELP") or kind not in ("counter", "gauge", "histogram"):
        found.append(f"{name}: no HELP, or an unknown TYPE")
    if (kind == "counter") != name.endswith("_total"):
        found.append(f"{name}: counters, and only they, end in _total")
    if re.search(r"_(bucket|sum|count)$", name) or (kind or "?") in name.split("_"):
        found.append(f"{name}: a name that the format or its type has taken")
    if ABBREVIATED.search(re.sub("_total$", "", name)) or re.search("[A-Z]", name):
        found.append(f"{name}: units are whole words in base units, names in lower case")
    if any(value < 0 or math.isnan(value) for _, _, value in family["samples"] if kind != "gauge"):
        found.append(f"{name}: below zero")
    if kind == "histogram":
        found += histogram_faults(name, family["samples"])
    return found


def histogram_faults(name, samples):
    found, series = [], {}
    for metric, labels, value in samples:
        bound = labels.pop("le", None)
        part = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if bound is not None:
            part["buckets"].append((float(bound), value))
        else:
            part[metric[len(name):]] = value
    for part in series.values():
        buckets = part["buckets"]
        if buckets != sorted(buckets) or [v for _, v in buckets] != sorted(v for _, v in buckets):
            found.append(f"{name}: buckets are not in order, or not cumulative")
        if not buckets or buckets[-1] != (math.inf, part.get("_count")) or "_sum" not in part:
            found.append(f"{name}: the last bucket, the count and the sum belong together")
    return found


def labels_of(text, metric):
    """Labels of a metric's samples, by Prometheus' own parser."""
    return [sample.labels for family in text_string_to_metric_families(text)
            for sample in family.samples if sample.name == metric]
