// The page's look. Colours are variables, read by the script as well, so that light and dark need no second drawing code.
// Severity is a scale with its change of hue at the bound: blue below, orange to red above; it holds for the colour-blind.

export const styles = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f5f7fa; --line: #d8dee6; --text: #1a1f26; --muted: #5a6472; --accent: #1f5fbf;
  --pass: #15774a; --pass-soft: #e2f4ea; --fail: #b42318; --fail-soft: #fde8e6; --warn: #8a5a00; --warn-soft: #fdf1d7;
  --exact: #cdd3db; --s1: #d3e3f7; --s2: #a5c7ee; --s3: #6a9fdc; --s4: #3a75bd;
  --b1: #f6b04c; --b2: #ea7a2b; --b3: #cf3a22; --b4: #8f1414; --none: #eceff3;
  --inherited: #7a5ccf; --bound: #98a2b0;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --raised: #181c22; --line: #2d343e; --text: #e7eaef; --muted: #9ba5b3; --accent: #82aefc;
    --pass: #5bcf95; --pass-soft: #12301f; --fail: #ff8a7d; --fail-soft: #3b1512; --warn: #edbb5c; --warn-soft: #33270e;
    --exact: #3c444f; --s1: #24384f; --s2: #2c5078; --s3: #3a6fab; --s4: #5b98de;
    --b1: #d9922f; --b2: #ef7d33; --b3: #f4533b; --b4: #ff9a92; --none: #1e232a;
    --inherited: #a78bfa; --bound: #7d8795;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 40px 0 10px; }
h3 { font-size: 15px; margin: 0 0 6px; overflow-wrap: anywhere; }
p { margin: 6px 0; }
a { color: var(--accent); }
code, pre, .mono { font-family: var(--mono); font-size: 13px; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-x: auto; margin: 8px 0; }
.muted { color: var(--muted); }
.small { font-size: 13px; }
.verdict { display: flex; gap: 16px; align-items: flex-start; border: 1px solid var(--line); border-left: 6px solid var(--mark); background: var(--soft); border-radius: 10px; padding: 16px 18px; margin-top: 16px; }
.verdict.pass { --mark: var(--pass); --soft: var(--pass-soft); }
.verdict.fail { --mark: var(--fail); --soft: var(--fail-soft); }
.verdict strong.word { color: var(--mark); font-size: 20px; letter-spacing: .04em; line-height: 1.3; }
.verdict p { margin: 0; font-size: 16px; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 12px; color: var(--muted); font-size: 13px; }
.facts b { color: var(--text); font-weight: 600; }
.chip { display: inline-block; padding: 1px 8px; border-radius: 999px; font-size: 12px; font-weight: 600; white-space: nowrap; background: var(--raised); color: var(--muted); border: 1px solid var(--line); }
.chip.same, .chip.rounding { background: var(--pass-soft); color: var(--pass); border-color: transparent; }
.chip.different, .chip.failed { background: var(--fail-soft); color: var(--fail); border-color: transparent; }
.chip.unsupported { background: var(--warn-soft); color: var(--warn); border-color: transparent; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 12px; padding: 6px 10px; border-bottom: 1px solid var(--line); }
td { padding: 8px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
table.stack td:first-child b { white-space: nowrap; }
button { font: inherit; font-size: 13px; color: var(--text); background: var(--raised); border: 1px solid var(--line); border-radius: 7px; padding: 4px 10px; cursor: pointer; }
button:hover { border-color: var(--accent); }
button[aria-pressed=true] { background: var(--accent); border-color: var(--accent); color: var(--page); }
button.link { border: 0; background: none; padding: 0; color: var(--accent); text-decoration: underline; text-align: left; font-family: var(--mono); overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
input[type=search], select { font: inherit; font-size: 13px; color: var(--text); background: var(--page); border: 1px solid var(--line); border-radius: 7px; padding: 4px 8px; min-width: 0; max-width: 100%; }
.bar { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 8px 0; }
.bar .push { margin-left: auto; }
.finding { border: 1px solid var(--line); border-left: 4px solid var(--fail); border-radius: 8px; padding: 12px 14px; margin: 10px 0; }
.finding dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0 0; font-size: 13px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.graph { display: grid; grid-template-columns: minmax(0, 1fr) 370px; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.graph canvas { display: block; width: 100%; height: 560px; background: var(--page); cursor: grab; touch-action: none; }
.panel { border-left: 1px solid var(--line); background: var(--raised); padding: 14px 16px; height: 560px; overflow: auto; font-size: 13px; }
.panel table { font-size: 12px; }
.panel td, .panel th { padding: 4px 4px; }
.panel td.n { white-space: nowrap; }
.panel dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 12px; margin: 8px 0; }
.panel tr[aria-current=true] { background: color-mix(in srgb, var(--accent) 12%, transparent); }
.scroll { overflow-x: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 12px; color: var(--muted); margin: 8px 0; }
.legend i { display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: 5px; }
.chart canvas { display: block; width: 100%; height: 260px; cursor: crosshair; touch-action: pan-y; }
.chart { border: 1px solid var(--line); border-radius: 10px; padding: 8px; }
.readout { min-height: 1.5em; font-size: 13px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 8px 0; }
.card { width: 168px; border: 1px solid var(--line); border-radius: 8px; padding: 10px; font-size: 13px; overflow-wrap: anywhere; }
.card img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; background: #000; border-radius: 4px; margin-bottom: 8px; }
.time { display: grid; grid-template: 'name track ms' / 190px minmax(0, 1fr) 210px; gap: 4px 12px; align-items: center; font-size: 13px; margin: 5px 0; overflow-wrap: anywhere; }
.time .track { grid-area: track; }
.time .ms { grid-area: ms; font-variant-numeric: tabular-nums; }
.track { position: relative; height: 16px; background: var(--none); border-radius: 3px; }
.track i { position: absolute; left: 0; top: 0; bottom: 0; background: var(--s3); border-radius: 3px; }
.track u { position: absolute; top: 3px; bottom: 3px; border: solid var(--text); border-width: 0 1px; min-width: 1px; }
.track u::before { content: ''; position: absolute; left: 0; right: 0; top: 50%; border-top: 1px solid var(--text); }
summary { cursor: pointer; }
details { margin: 8px 0; }
footer { margin-top: 48px; color: var(--muted); font-size: 12px; }
@media (max-width: 820px) {
  main { padding: 18px 14px 48px; }
  .graph { grid-template-columns: minmax(0, 1fr); }
  .graph canvas { height: 400px; }
  .panel { border-left: 0; border-top: 1px solid var(--line); height: auto; max-height: 420px; }
  table.stack thead { display: none; }
  table.stack tr { display: block; border-bottom: 1px solid var(--line); padding: 8px 0; }
  table.stack td { display: flex; justify-content: space-between; gap: 16px; border: 0; padding: 2px 0; text-align: right; }
  table.stack td::before { content: attr(data-label); color: var(--muted); font-size: 12px; text-align: left; }
  table.stack td.empty { display: none; }
  table.stack td:first-child { text-align: left; font-size: 15px; }
  table.stack td:first-child::before { display: none; }
  .time { grid-template: 'name ms' 'track track' / minmax(0, 1fr) max-content; margin: 10px 0; }
  table.stack td:first-child b { white-space: normal; overflow-wrap: anywhere; }
  .verdict { flex-direction: column; gap: 4px; }
  .cards .card { width: calc(50% - 6px); }
}
@media (prefers-reduced-motion: no-preference) { .track i { transition: width .2s; } }
@media print { .bar, .panel { display: none; } .graph { grid-template-columns: 1fr; } }
`
