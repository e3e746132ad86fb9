// The stylesheets of every HTML page that the program writes.
#pragma once

namespace patchforge {

// CSS text to stand inside <style>: plain system fonts, light and dark by the reader's setting,
// readable on a phone and in print, nothing fetched from anywhere. The page's body goes in <main>.
//
//   <div class="facts"><div><b>1.234</b><span>what it is</span></div>…</div>  a grid of key figures
//   <div class="scroll"><table>…<td class="number">…</table></div>  a table, numbers to the right
//   <figure><img …><figcaption>…</figcaption></figure>              a picture with its words
//   <section class="card">…</section>                               a framed block
//   <p class="note">…</p>, <p class="good">…</p>, <p class="bad">…</p>  a remark, a verdict
//   <img class="pixels">                                            enlarged without blur
//   <nav>, <code>, <pre>, <details>, <button>                       as they are
//
// Colours are variables (--ink --soft --paper --panel --line --accent --good --bad and the series
// --series-1 … --series-4), so that inline SVG can use them: stroke="var(--series-1)".
extern const char* const page_style;

// What reports need beside it. Body of a report's <main>: a grid of two columns, which figures of
// class "plot" take one of and everything else both; one column on narrow screens.
extern const char* const report_style;

} // namespace patchforge
