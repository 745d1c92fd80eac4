# SPDX-License-Identifier: Apache-2.0
"""The comparisons as one SVG: a panel for each, a bar for each subject, the middle half as a whisker."""
from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, GAP, HEAD = 900, 270, 16, 6, 34
RIGHT = 130  # for the figures beside the bars
COLOURS = ("#0b6e4f", "#8a8d91")  # this module, the others


def _text(x, y, text, size=12, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(text)}</text>')


def _figure(value):
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _panel(panel, top):
    bars = panel["bars"]
    most = max([bar["q3"] for bar in bars] + [bar["median"] for bar in bars] + [panel["base"] or 0]) or 1
    scale = (WIDTH - LABEL - RIGHT) / most
    out = [_text(10, top + 16, f"{panel['title']} ({panel['unit']})", 13, weight="bold")]
    y = top + HEAD - 8
    for bar in bars:
        middle = y + BAR / 2
        colour = COLOURS[0] if bar["label"].startswith("module") else COLOURS[1]
        out += [_text(LABEL - 8, y + 12, bar["label"], anchor="end"),
                f'<rect x="{LABEL}" y="{y}" width="{bar["median"] * scale:.1f}" height="{BAR}" '
                f'fill="{colour}"/>',
                f'<line x1="{LABEL + bar["q1"] * scale:.1f}" y1="{middle}" '
                f'x2="{LABEL + bar["q3"] * scale:.1f}" y2="{middle}" stroke="#222" stroke-width="2"/>',
                _text(WIDTH - RIGHT + 8, y + 12, _figure(bar["median"]))]
        y += BAR + GAP
    if panel["base"]:
        x = LABEL + panel["base"] * scale
        out.append(f'<line x1="{x:.1f}" y1="{top + HEAD - 12}" x2="{x:.1f}" y2="{y}" stroke="#b00" '
                   'stroke-dasharray="4 3"/>')
    return out, y + 14


def draw(result):
    """The SVG of a result, as text."""
    machine = result["machine"]
    body = [_text(10, 24, "mod_stek_rotate beside its peers", 17, weight="bold"),
            _text(10, 44, f"{machine['processor']}, {machine['cores']} cores; {machine['httpd']}; "
                  f"{machine['OpenSSL']}; {result['began']}; {result['size']}", 11),
            _text(10, 60, "Bars: medians. Dark lines: the middle half of the rounds.", 11)]
    top = 80
    for part in result["parts"].values():
        for panel in part["charts"]:
            lines, top = _panel(panel, top)
            body += lines
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
            f'viewBox="0 0 {WIDTH} {top}" font-family="DejaVu Sans, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")
