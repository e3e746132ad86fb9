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

// The shadows of .scroll show that there is more to the side: they stay in place, and the two covers
// in the paper's colour, which move with the content, hide them at its ends.
const char* const report_style = R"css(
main { max-width: 78rem; display: grid; grid-template-columns: repeat(2, minmax(0, 1fr));
  column-gap: 2.5rem; align-content: start; }
main > * { grid-column: 1 / -1; min-width: 0; }
main > .plot { grid-column: auto; }
main > h2 { margin-top: 2rem; }
@media (max-width: 52rem) { main > .plot { grid-column: 1 / -1; } }
.lead { font-size: 1.1rem; line-height: 1.45; margin: .35rem 0; max-width: 56rem;
  padding-left: .8rem; border-left: .25rem solid var(--line); }
.lead.good { color: inherit; border-color: var(--good); }
.lead.bad { color: inherit; border-color: var(--bad); }
.lead + nav { margin-top: 1.2rem; }
.plot { margin: .8rem 0; }
.plot svg { width: 100%; }
.gallery { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.gallery figure { margin: .6rem 0; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 14rem)); gap: .3rem 1rem; }
.strip figure { margin: .3rem 0; }
.scroll { --cue: rgba(110, 130, 150, .55);
  background:
    linear-gradient(to right, var(--paper) 50%, transparent) left / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 50%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(to right, var(--cue), transparent) left / 1rem 100% no-repeat scroll,
    linear-gradient(to left, var(--cue), transparent) right / 1rem 100% no-repeat scroll; }
.scroll:focus-visible { outline: 2px solid var(--accent); }
.pairs th { font-weight: 400; color: var(--soft); vertical-align: top; }
td.word { white-space: nowrap; }
td:not([class]) { min-width: 9rem; }
.pairs td { min-width: 0; overflow-wrap: anywhere; }
.verdict { font-weight: 600; }
details { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; margin: .3rem 0; }
.sheet table { border-spacing: .4rem; border-collapse: separate; margin-left: -.4rem; font-size: .875rem; }
.sheet th, .sheet td { border: 0; padding: 0; min-width: 0; vertical-align: middle; }
.sheet th { font-weight: 400; }
.sheet thead th { text-align: center; }
.sheet tbody th { max-width: 14rem; padding-right: .6rem; }
.sheet figcaption { margin: 0 0 .4rem; }
@media (max-width: 40rem) {
  .sheet tr { display: grid; grid-template-columns: repeat(var(--columns, 4), minmax(0, 1fr));
    gap: .4rem; margin-bottom: .8rem; }
  .sheet table, .sheet tbody, .sheet thead { display: block; margin: 0; }
  .sheet tbody th { grid-column: 1 / -1; max-width: none; }
  .sheet thead td, .sheet tbody th:empty { display: none; }
  table.cards, .cards tbody, .cards tr, .cards td { display: block; }
  .cards thead { display: none; }
  .cards tr { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
    padding: .4rem .8rem; margin-bottom: .7rem; }
  .cards td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .15rem 0;
    text-align: right; white-space: normal; min-width: 0; overflow-wrap: anywhere; }
  .cards td::before { content: attr(data-name); color: var(--soft); text-align: left;
    overflow-wrap: break-word; }
  .cards td:first-child { font-weight: 600; border-bottom: 1px solid var(--line); }
  .wide th:first-child, .wide td:first-child { position: sticky; left: 0;
    background: var(--paper); background-clip: padding-box; }
}
@media print {
  main, .gallery, .strip { display: block; } /* a heading stays with a block, not with a flexbox */
  .gallery figure, .strip figure { display: inline-block; vertical-align: top; margin-right: 1rem; }
  .plot { width: 70%; }
  .scroll { background: none; }
}
)css";

} // namespace patchforge
