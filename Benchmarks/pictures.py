"""Charts of the benchmarks' pages as self-contained SVG files."""

from html import escape

OURS, THEIRS = "#d9690f", "#8a93a3"
LINES = ["#1f2430", "#d9690f", "#1769aa", "#3a8f4d"]


def _head(width, height, title, subtitle):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        "font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" font-size=\"13\" fill=\"#1f2430\">",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="16" y="46" fill="#5b6270">{escape(subtitle)}</text>',
    ]


def _write(path, parts):
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


def bars(path, title, subtitle, rows):
    """Horizontal bars of (name, value); Needletail's stand out."""
    width, bar, gap, left = 760, 24, 8, 190
    most = max(value for _, value in rows)
    parts = _head(width, 64 + len(rows) * (bar + gap) + 14, title, subtitle)
    for index, (name, value) in enumerate(rows):
        y = 60 + index * (bar + gap)
        length = (width - left - 90) * value / most
        color = OURS if name.startswith("Needletail") else THEIRS
        parts.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar}" rx="2" fill="{color}"/>')
        parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 17}">{value:,.0f}</text>')
    _write(path, parts)


def curves(path, title, subtitle, found, steps=5):
    """Lines of {name: values}, one value a step from step 1 on, between the lowest and the highest value of all."""
    width, height, left, top, right, bottom = 760, 420, 60, 70, 20, 40
    count = max(len(values) for values in found.values())
    low = min(min(values) for values in found.values())
    high = max(max(values) for values in found.values())

    def x(step):
        return left + (width - left - right) * step / count

    def y(value):
        return top + (height - top - bottom) * (high - value) / (high - low)

    parts = _head(width, height, title, subtitle)
    for index in range(steps + 1):
        value, step = low + (high - low) * index / steps, count * index // steps
        parts.append(f'<path d="M{left} {y(value):.1f}H{width - right}" stroke="#e3e6eb"/>')
        parts.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
        parts.append(f'<text x="{x(step):.1f}" y="{height - 14}" text-anchor="middle">{step}</text>')
    for index, (name, values) in enumerate(found.items()):
        color = LINES[index % len(LINES)]
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in enumerate(values, 1))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.2"/>')
        row = top + 18 + 20 * index
        parts.append(f'<path d="M{width - 210} {row - 4}h24" stroke="{color}" stroke-width="3"/>')
        parts.append(f'<text x="{width - 180}" y="{row}">{escape(name)}</text>')
    _write(path, parts)
