"""The style sheet of the HTML report.

Every rule is inside `.safe-load` (or names a class that begins so): a notebook can hold it too.
"""

from __future__ import annotations

STYLE = """
.safe-load-page { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: #f6f7f9; color-scheme: light dark; }
.safe-load-total { font: 600 1.1rem system-ui, sans-serif; }
.safe-load { --ink: #1b1f24; --quiet: #667080; --line: #e3e6ea; --paper: #fff; --code: #f1f3f5;
  --good: #1a7f45; --warn: #a86400; --bad: #c62232; --plain: #3b6ea8;
  color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-top: 4px solid var(--tone);
  overflow-wrap: anywhere; border-radius: 8px; padding: 1.25rem 1.5rem; margin-bottom: 1.5rem;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.safe-load.good { --tone: var(--good); }
.safe-load.warn { --tone: var(--warn); }
.safe-load.bad { --tone: var(--bad); }
.safe-load.plain { --tone: var(--plain); }
.safe-load p { margin: .2rem 0; }
.safe-load h2 { font-size: 1.25rem; margin: .1rem 0; }
.safe-load h3, .safe-load summary { font-size: 1rem; font-weight: 600; margin: 1.4rem 0 .5rem; }
.safe-load summary { cursor: pointer; }
.safe-load .verdict { color: var(--tone); font-size: 1.15rem; font-weight: 700; }
.safe-load .quiet { color: var(--quiet); font-weight: 400; font-size: .88em; }
.safe-load code, .safe-load pre { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
.safe-load code { background: var(--code); border-radius: 4px; padding: .1em .3em; }
.safe-load pre { background: var(--code); border-radius: 6px; padding: .75rem 1rem; }
.safe-load .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(6rem, 1fr)); gap: .5rem; margin: 1rem 0 0; }
.safe-load .tiles div { background: var(--code); border-radius: 6px; padding: .45rem .7rem; }
.safe-load .tiles dt { color: var(--quiet); font-size: .8rem; }
.safe-load .tiles dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.safe-load .findings { list-style: none; padding: 0; margin: 0; }
.safe-load .findings li { border-left: 4px solid var(--level); background: var(--code); border-radius: 0 6px 6px 0; padding: .45rem .9rem; margin-bottom: .5rem; }
.safe-load .findings .severity { color: var(--level); text-transform: uppercase; font-size: .78rem; letter-spacing: .04em; }
.safe-load .critical, .safe-load .high { --level: var(--bad); }
.safe-load .medium { --level: var(--warn); }
.safe-load .low { --level: var(--plain); }
.safe-load .wide { overflow-x: auto; }
.safe-load table { border-collapse: collapse; width: 100%; font-size: .92em; }
.safe-load th { text-align: left; color: var(--quiet); font-weight: 500; font-size: .88em; }
.safe-load th, .safe-load td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; min-width: 3rem; }
.safe-load td:first-child { min-width: 4.8rem; }
.safe-load b.denied, .safe-load b.missing { color: var(--bad); }
.safe-load b.redirected, .safe-load b.weaker { color: var(--warn); }
.safe-load b.allowed, .safe-load b.standing { color: var(--good); }
.safe-load svg { width: 100%; height: auto; font: 13px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
.safe-load .lane { stroke: var(--line); stroke-width: 2; }
.safe-load .tick { fill: var(--quiet); font-size: 11px; }
.safe-load rect.allowed { fill: var(--plain); }
.safe-load rect.denied, .safe-load rect.program { fill: var(--bad); }
.safe-load rect.redirected, .safe-load rect.egress { fill: var(--warn); }
@media (prefers-color-scheme: dark) {
  .safe-load-page { background: #0f1216; color: #e4e8ed; }
  .safe-load { --ink: #e4e8ed; --quiet: #96a1b0; --line: #2b323b; --paper: #171b21; --code: #20262e;
    --good: #4cc38a; --warn: #e0a030; --bad: #ff6b76; --plain: #6ea8e8; }
}
"""
