"""The HTML of a report: one file with its style and its plots inside, nothing fetched from anywhere.

`report.py` fills it. Everything that comes from data, file names and texts too, is escaped here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

_STYLE = """
:root{--ink:#1d2733;--soft:#5b6775;--line:#e1e5ea;--card:#fff;--page:#f4f6f8;--blue:#1f5fbf;--orange:#b04a06}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
header,main{max-width:72rem;margin:0 auto;padding:1.25rem}
header{padding-top:2rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .35rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .7rem}
p{margin:.4rem 0;max-width:48rem}
.soft{color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;margin-top:.7rem}
nav a{color:var(--blue)}
.tiles,.plots,.examples{display:grid;gap:.9rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));margin-top:1.2rem}
.plots{grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));align-items:start}
.examples{grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}
.examples.wide{grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
.tile,figure,.example,.scroll{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
.tile{padding:.8rem 1rem}
.tile b{display:block;font-size:1.5rem;line-height:1.25}
.tile span{color:var(--soft);font-size:.9rem}
figure{margin:0;padding:.7rem}
figure img{display:block;width:100%;height:auto}
figcaption{color:var(--soft);font-size:.9rem;padding:.4rem .3rem 0}
.scroll{overflow-x:auto}
.plots+.scroll{margin-top:.9rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .9rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:600;font-size:.9rem}
th:first-child,td:first-child{text-align:left}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:7rem}
.example{overflow:hidden;font-size:.9rem}
.example img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:#e9ecef}
.example div{padding:.55rem .7rem}
.example .text{border-bottom:1px solid var(--line);max-height:13rem;overflow-y:auto;overflow-wrap:anywhere}
.example small{color:var(--soft);overflow-wrap:anywhere;display:block}
.bar{height:.4rem;border-radius:.2rem;background:var(--line);margin:.15rem 0 .35rem}
.bar i{display:block;height:100%;border-radius:.2rem;background:var(--blue)}
.wrong{color:var(--orange);font-weight:600}
@media print{body{background:#fff}nav{display:none}}
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One heading with what stands under it, as HTML."""

    key: str
    title: str
    body: Sequence[str] = field(default_factory=tuple)


def page(title: str, about: str, tiles: Iterable[str], sections: Sequence[Section]) -> str:
    """The whole document."""
    shown = [section for section in sections if section.body]
    links = "".join(f'<a href="#{section.key}">{escape(section.title)}</a>' for section in shown)
    bodies = "".join(
        f'<section id="{section.key}"><h2>{escape(section.title)}</h2>{"".join(section.body)}</section>'
        for section in shown
    )
    figures = "".join(tiles)
    above = f'<div class="tiles">{figures}</div>' if figures else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
        f'<p class="soft">{escape(about)}</p><nav aria-label="Sections">{links}</nav>'
        f"{above}</header><main>{bodies}</main></body></html>\n"
    )


def tile(name: str, value: str, more: str = "") -> str:
    """One figure that matters."""
    return f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(more)}</span></div>'


def paragraph(text: str) -> str:
    """A sentence or two."""
    return f"<p>{escape(text)}</p>"


def plot(key: str, picture: str, text: str, caption: str = "") -> str:
    """One plot; `picture` is a PNG file in base64, `text` says what it shows to who cannot see it."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    image = f'<img id="plot-{escape(key)}" alt="{escape(text)}" src="data:image/png;base64,{picture}">'
    return f"<figure>{image}{below}</figure>"


def plots(figures: Iterable[str]) -> str:
    """Plots side by side where there is room."""
    return f'<div class="plots">{"".join(figures)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def example(looks: str, words: str, name: str, share: float) -> str:
    """One example: its picture or text, what was said of it, and how sure the answer was."""
    width = round(100 * share)
    return (
        f'<div class="example">{looks}<div>{words}<div class="bar" style="margin-left:0;padding:0">'
        f'<i style="width:{width}%"></i></div><small>{escape(name)}</small></div></div>'
    )


def examples(cards: Sequence[str], *, wide: bool) -> str:
    """Examples side by side; texts take more room than pictures."""
    return f'<div class="examples{" wide" if wide else ""}">{"".join(cards)}</div>'
