#include "host/page/page_style.h"

namespace patchforge {

const char* const page_style = R"css(
:root {
  color-scheme: light dark;
  --ink: #1d232b; --soft: #5a6572; --paper: #fbfbf9; --panel: #f1f2ef; --line: #d5d9d6;
  --accent: #1f5f8b; --on-accent: #ffffff; --good: #23703f; --bad: #a5302b;
  --series-1: #1f6fa8; --series-2: #c0601b; --series-3: #2f8050; --series-4: #8a4a9e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ec; --soft: #9da8b4; --paper: #15191e; --panel: #1f252c; --line: #38414b;
    --accent: #7fbbe6; --on-accent: #10202c; --good: #7fcf9a; --bad: #f0938c;
    --series-1: #6db3e8; --series-2: #ec9c5b; --series-3: #72c792; --series-4: #c996da;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p, ul, ol { margin: .6rem 0; max-width: 44rem; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .8rem 0; font-size: .9rem; }
small, figcaption, .note { color: var(--soft); font-size: .875rem; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: baseline; }
th { font-weight: 600; }
thead th { border-bottom-width: 2px; color: var(--soft); }
th.number, td.number { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: .2rem; }
figure { margin: 1rem 0; }
figure img, figure svg, figure canvas { max-width: 100%; height: auto; display: block; }
figcaption { margin-top: .4rem; max-width: 44rem; }
figcaption + .scroll { margin-top: .3rem; }
img.pixels, .pixels img { image-rendering: pixelated; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.facts > div, .card { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem .9rem; }
.facts b { display: block; font-size: 1.3rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.facts span { display: block; color: var(--soft); font-size: .85rem; line-height: 1.35; }
.card { margin: 1rem 0; }
.card > :first-child { margin-top: 0; }
.card > :last-child { margin-bottom: 0; }
code, pre, kbd { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .875em; }
code { background: var(--panel); border-radius: .25rem; padding: .1em .3em; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem .9rem; overflow-x: auto; }
pre code { background: none; padding: 0; }
kbd { border: 1px solid var(--line); border-bottom-width: 2px; border-radius: .3rem; padding: 0 .4em;
  background: var(--panel); white-space: nowrap; }
summary { cursor: pointer; }
button { font: inherit; font-weight: 600; color: var(--ink); background: var(--panel);
  border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1.2rem; cursor: pointer;
  touch-action: manipulation; }
button:hover { border-color: var(--accent); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:disabled { opacity: .45; cursor: default; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print {
  :root {
    color-scheme: light;
    --ink: #000; --soft: #444; --paper: #fff; --panel: #fff; --line: #bbb; --accent: #000;
    --good: #164a29; --bad: #7c1f1b;
    --series-1: #1f6fa8; --series-2: #c0601b; --series-3: #2f8050; --series-4: #8a4a9e;
  }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  figure, tr, .facts > div, .card { break-inside: avoid; }
  .scroll { overflow: visible; }
  nav, button { display: none; }
}
)css";

} // namespace patchforge
