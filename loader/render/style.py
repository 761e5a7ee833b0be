"""The style sheet of the HTML report and of the card in a notebook.

Notebooks have rules of their own for tables, headings, lists, code and links (JupyterLab's
`.jp-RenderedHTMLCommon tbody tr:nth-child(odd)` and the like). Every rule here names the card's class three times,
which outweighs them, and states what they would change.
"""

from __future__ import annotations

_CARD = ".safe-load.safe-load.safe-load"
#: § stands for the card.
_RULES = """
.safe-load-page { margin: 0; background: #f6f7f9; color: #1b1f24; color-scheme: light dark; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.safe-load-page > main, .safe-load-top { max-width: 68rem; margin: 0 auto; padding: 1.25rem; box-sizing: border-box; }
.safe-load-top { padding-bottom: 0; }
.safe-load-top h1 { font-size: 1.35rem; margin: 0; }
.safe-load-top p { margin: .3rem 0 0; }
§ { --ink: #1b1f24; --quiet: #515b68; --line: #d8dde3; --paper: #fff; --code: #eff1f4; --good: #14693a; --warn: #7d4a00; --bad: #b3121f; --plain: #2b5c92;
  --goodbg: #e9f6ee; --warnbg: #fdf3e1; --badbg: #fdecee; --plainbg: #eaf1f9; --focus: #0b57d0;
  display: block; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 0 0 1rem; margin: 0 0 1.5rem; overflow-wrap: anywhere; text-align: left;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
§.good { --tone: var(--good); --tonebg: var(--goodbg); } §.warn { --tone: var(--warn); --tonebg: var(--warnbg); }
§.bad { --tone: var(--bad); --tonebg: var(--badbg); } §.plain { --tone: var(--plain); --tonebg: var(--plainbg); }
§ > * { margin-left: 1.4rem; margin-right: 1.4rem; }
§ .hero { display: block; margin: 0 0 1rem; padding: 1.1rem 1.4rem; border-left: 8px solid var(--tone); border-radius: 9px 9px 0 0; background: var(--tonebg); }
§ h1, § h2, § h3, § h4, § .title { margin: 0; padding: 0; border: 0; color: var(--ink); font: 600 1.5rem/1.3 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; letter-spacing: normal; }
§ .title b { color: var(--tone); font-weight: 700; }
§ .part { margin: 1.5rem 0 .5rem; font-size: 1.05rem; }
§ summary { cursor: pointer; } § summary.part { margin: .7rem 0; } § .what summary { font-size: .88rem; color: var(--quiet); }
§ p { margin: .4rem 0; padding: 0; color: inherit; font-size: inherit; line-height: inherit; }
§ .lede { font-size: 1.1rem; }
§ .quiet { color: var(--quiet); font-size: .88rem; font-weight: 400; }
§ ul, § ol { margin: .3rem 0; padding: 0 0 0 1.2rem; list-style: disc; } § li { margin: .15rem 0; padding: 0; }
§ a, § a:link, § a:visited { color: inherit; text-decoration: underline; background: none; }
§ .chips, § .flow, § .tree, § .findings, § .plainlist { list-style: none; padding: 0; }
§ .chips { display: flex; flex-wrap: wrap; gap: .4rem; margin: .6rem 0; }
§ .chips li { margin: 0; padding: .12rem .7rem; border: 1px solid var(--line); border-radius: 99px; background: var(--paper); color: var(--ink); font-size: .88rem; }
§ code, § pre { color: var(--ink); background: var(--code); border: 0; font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
§ code { padding: .08em .3em; border-radius: 4px; } § pre code { padding: 0; }
§ pre { display: block; margin: .4rem 0; padding: .7rem 1rem; border-radius: 6px; max-height: 26rem; overflow: auto; }
§ pre.hex { white-space: pre; overflow-wrap: normal; }
§ .copy { display: grid; grid-template-columns: max-content 1fr; gap: .3rem .8rem; margin: .5rem 0; padding: 0; align-items: baseline; }
§ .copy code { justify-self: start; user-select: all; cursor: copy; }
§ .flow { display: flex; flex-wrap: wrap; gap: .5rem; align-items: stretch; margin: .4rem 0; }
§ .flow li { flex: 1 1 9rem; margin: 0; padding: .55rem .8rem; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); }
§ .flow li + li::before { content: "→ "; color: var(--quiet); }
§ .flow b { color: var(--quiet); font-weight: 600; font-size: .88rem; } § .flow span { display: block; }
§ .wide { overflow-x: auto; margin: .3rem 0; }
§ table { display: table; width: 100%; margin: 0; border: 0; border-collapse: collapse; border-spacing: 0; table-layout: auto; background: none; color: var(--ink); font-size: .94rem; }
§ thead { display: table-header-group; border: 0; vertical-align: baseline; } § tbody { display: table-row-group; }
§ tr { display: table-row; background: none; border: 0; }
§ th, § td { display: table-cell; max-width: none; padding: .4rem .7rem .4rem 0; border: 0; border-top: 1px solid var(--line); background: none; text-align: left; vertical-align: top; white-space: normal; overflow-wrap: break-word; line-height: 1.45; min-width: 3rem; } § td:first-child { min-width: 7rem; } § td code { overflow-wrap: anywhere; }
§ th { color: var(--quiet); font-size: .85rem; font-weight: 500; } § thead th { border-top: 0; }
§ td.time { white-space: nowrap; color: var(--quiet); font-variant-numeric: tabular-nums; min-width: 5.5rem; } § td.what { width: 55%; min-width: 12rem; }
§ td.number, § th.number { text-align: right; font-variant-numeric: tabular-nums; }
§ table.heat { width: auto; } § table.heat th, § table.heat td { min-width: 3.2rem; padding: .2rem .4rem; font-size: .8rem; border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
§ td.heat0 { color: var(--quiet); } § td.heat1 { background: #dbe7f5; color: #1b1f24; } § td.heat2 { background: #a9c8ea; color: #1b1f24; } § td.heat3 { background: #6d9fd6; color: #0b1016; }
§ td.heat4 { background: #2f6db5; color: #fff; } § td.heat5 { background: #143f78; color: #fff; } § td.heat6 { background: #b3121f; color: #fff; font-weight: 700; }
§ .tick { display: block; width: 5rem; height: 6px; margin: 3px 0 0; } § .tick line { stroke: var(--line); stroke-width: 2; } § .tick rect { fill: var(--level, var(--quiet)); }
§ .bars { display: block; width: 12rem; max-width: 100%; height: 3rem; margin: .3rem 0; border-bottom: 1px solid var(--line); } § .bars rect { fill: var(--plain); }
§ .wall { display: inline-block; padding: .02rem .45rem; border: 1px solid var(--line); border-radius: 4px; background: var(--paper); font-size: .85rem; white-space: nowrap; }
§ .critical, § .high { --level: var(--bad); } § .medium { --level: var(--warn); } § .low { --level: var(--plain); }
§ .severity { color: var(--level); font-weight: 600; font-size: .88rem; }
§ .findings > li { margin: .6rem 0; padding: .5rem .9rem; border-left: 4px solid var(--level); border-radius: 0 6px 6px 0; background: var(--code); }
§ .findings code, § .findings pre { background: var(--paper); }
§ .findings h4, § .sub { font-size: .98rem; }
§ .tree { margin: .3rem 0; } § .tree .tree { margin-left: .6rem; padding-left: .8rem; border-left: 2px solid var(--line); }
§ .standing, § .allowed { color: var(--good); } § .weaker, § .redirected { color: var(--warn); } § .missing, § .denied { color: var(--bad); }
§ :focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.safe-load-index { position: sticky; top: 0; z-index: 1; max-height: 32vh; overflow: auto; box-sizing: border-box; padding: .6rem max(1.25rem, calc((100% - 65.5rem) / 2)); background: #fff; color: #1b1f24; border-bottom: 1px solid #d8dde3; }
.safe-load-index ol { display: flex; flex-direction: column; list-style: none; margin: .3rem 0; padding: 0; }
.safe-load-index li { display: flex; gap: .8rem; padding: .15rem 0; } .safe-load-index a { color: inherit; flex: 1; overflow-wrap: anywhere; }
.safe-load-index li b { flex: none; min-width: 7.5rem; } .safe-load-index li span { flex: none; min-width: 5rem; text-align: right; font-size: .88rem; } .safe-load-index .bad b { color: #b3121f; } .safe-load-index .warn b { color: #7d4a00; } .safe-load-index .good b { color: #14693a; } .safe-load-index .plain b { color: #2b5c92; }
.safe-load-index input { margin: 0 .3rem 0 .8rem; } .safe-load-index label { font-size: .88rem; }
.safe-load { scroll-margin-top: 34vh; }
@media (max-width: 44rem) {
  .safe-load-page > main, .safe-load-top { padding: .7rem; }
  .safe-load-index { position: static; padding: .5rem .7rem; } .safe-load { scroll-margin-top: 0; }
  .safe-load-index li { flex-wrap: wrap; gap: 0 .8rem; padding: .3rem 0; } .safe-load-index li > * { min-width: 0; } .safe-load-index li a { flex: 1 0 100%; order: 1; }
  § > * { margin-left: .8rem; margin-right: .8rem; } § .hero { margin: 0 0 .8rem; padding: .8rem; }
  § table, § tbody, § tr, § th, § td, § td.what, § td.time { display: block; width: auto; min-width: 0; border: 0; } § thead { display: none; }
  § tr { padding: .45rem .6rem; border-top: 1px solid var(--line); border-left: 4px solid var(--level, var(--line)); }
  § td, § td.number { padding: .08rem 0; text-align: left; } § td:empty { display: none; }
  § table.heat { display: table; } § table.heat thead { display: table-header-group; } § table.heat tbody { display: table-row-group; }
  § table.heat tr { display: table-row; border: 0; } § table.heat th, § table.heat td { display: table-cell; min-width: 3.2rem; padding: .2rem .4rem; border: 1px solid var(--line); overflow-wrap: normal; } § table.heat td:empty { display: table-cell; }
  § td[data-label]::before { content: attr(data-label) ": "; color: var(--quiet); font-size: .85rem; }
  § .copy { grid-template-columns: 1fr; gap: .1rem; } § .copy code { margin-bottom: .4rem; } § .flow li + li::before { content: "↓ "; } § .flow li { flex-basis: 100%; }
}
@media (prefers-color-scheme: dark) {
  .safe-load-page { background: #0f1216; color: #e6e9ee; }
  § { --ink: #e6e9ee; --quiet: #a9b3c0; --line: #2f3741; --paper: #171b22; --code: #20262d; --good: #6bd69b; --warn: #f0b35b; --bad: #ff8a92; --plain: #8dbcf0;
    --goodbg: #12241a; --warnbg: #2a2112; --badbg: #2c1518; --plainbg: #14202e; --focus: #8ab4f8; }
  .safe-load-index { background: #171b22; color: #e6e9ee; border-color: #2f3741; }
  .safe-load-index .bad b { color: #ff8a92; } .safe-load-index .warn b { color: #f0b35b; } .safe-load-index .good b { color: #6bd69b; } .safe-load-index .plain b { color: #8dbcf0; }
}
@media print {
  .safe-load-page { background: #fff; font-size: 11px; } .safe-load-index { position: static; max-height: none; } § { border: 0; break-before: auto; }
  § pre { max-height: none; } § tr, § li, § .hero { break-inside: avoid; } § details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
"""

STYLE = _RULES.replace("§", _CARD)
