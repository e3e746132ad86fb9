#include "host/study/study_script.h"

namespace patchforge {

const char* const study_style = R"css(
[hidden] { display: none !important; }
main { max-width: 46rem; }
main:has(#trial:not([hidden])) h1 { display: none; }
#trial { max-width: 24rem; margin: 0 auto; text-align: center; }
#trial progress { width: 100%; height: .5rem; accent-color: var(--accent); }
#trial .place { display: flex; justify-content: space-between; color: var(--soft); font-size: .875rem;
  font-variant-numeric: tabular-nums; }
#stage { position: relative; width: min(350px, 84vw, 56vh); aspect-ratio: 1; margin: 1rem auto;
  background: #808080; border-radius: .25rem; overflow: hidden; }
#stage > * { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
#cross { display: flex; align-items: center; justify-content: center; color: #fff; font-size: 2.5rem;
  font-weight: 300; }
.choices { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
.choices button { padding: 1rem .5rem; user-select: none; }
.choices kbd { font-weight: 400; }
@media (pointer: coarse) { .choices kbd, .keys { display: none; } .choices br { display: none; } }
label { display: block; margin: .6rem 0; }
input { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
  border-radius: .4rem; padding: .4rem .6rem; width: min(16rem, 100%); display: block; margin-top: .2rem; }
.downloads { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.2rem 0; }
.downloads a { display: inline-block; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--panel); padding: .55rem 1.1rem; text-decoration: none; font-weight: 600; }
.mistakes { display: flex; flex-wrap: wrap; gap: .5rem; margin: .6rem 0 1.4rem; }
.mistakes img { width: 100px; height: 100px; image-rendering: pixelated; border-radius: .2rem; }
tr.part > * { padding-top: 1rem; }
td.plot { vertical-align: middle; width: 9rem; min-width: 5rem; }
td.plot svg { display: block; width: 100%; height: 1.1rem; overflow: visible; }
#results table { width: 100%; }
@media (max-width: 34rem) { .plot { display: none; } }
)css";

const char* const study_body =
    R"html(<noscript><p class="bad">This page needs JavaScript. It sends nothing anywhere.</p></noscript>
<section id="intro" hidden>
<p>Half of the small patches you are about to see are photographs. A program made up the other half.
Say of each which it is. Guess when you do not know: that is an answer too.</p>
<ol>
<li><b>At a glance.</b> <span class="each"></span> patches, each for a quarter of a second, then noise.
Look at the cross; the patch appears there.</li>
<li><b>At leisure.</b> <span class="each"></span> other patches, each for as long as you like.</li>
</ol>
<p class="keys">Keys: <kbd>←</kbd> or <kbd>R</kbd> for real, <kbd>→</kbd> or <kbd>F</kbd> for fake.</p>
<p>Answers stay in this page until you save them at the end; nothing is sent anywhere.</p>
<label>Your name or initials, if you like <input id="rater" maxlength="80" autocomplete="off"></label>
<p><button class="primary" id="begin">Begin</button></p>
</section>
<section id="pause" hidden>
<h2>First part done</h2>
<p>Now take as long as you like for each patch.</p>
<p><button class="primary" id="continue">Continue</button></p>
</section>
<section id="trial" hidden>
<div class="place"><span id="part"></span><span id="place" aria-live="polite"></span></div>
<progress id="progress" value="0"></progress>
<div id="stage">
<div id="cross">+</div>
<img id="picture" alt="the patch to judge" hidden>
<canvas id="mask" width="50" height="50" hidden></canvas>
</div>
<div class="choices">
<button id="real">Real<br><kbd>←</kbd> <kbd>R</kbd></button>
<button id="fake">Fake<br><kbd>→</kbd> <kbd>F</kbd></button>
</div>
</section>
<section id="results" hidden>
<h2>How often you were wrong</h2>
<p id="verdict"></p>
<div class="scroll"><table>
<thead><tr><th>part</th><th class="number">errors</th><th class="number">rate</th>
<th class="number">95 % interval</th><th class="plot">0 to 100 %</th></tr></thead>
<tbody id="rates"></tbody>
</table></div>
<p class="note plot">The dot is the error rate, the bar its Wilson interval, the thin line 50 %: the rate of
somebody who guesses.</p>
<div class="downloads"><a id="json" download="study-results.json">Save as JSON</a>
<a id="csv" download="study-results.csv">Save as CSV</a></div>
<div id="wrong"></div>
</section>
)html";

const char* const study_script = R"js(
"use strict";
const study = JSON.parse(document.getElementById("study-data").textContent);
const element = (id) => document.getElementById(id);
const answers = [];
let part = 0, place = 0, shownAt = 0, exposure = null, started = null, waiting = false, unsaved = false;

function show(name) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  window.scrollTo(0, 0);
}

function isGenerated(arm, index) {
  let bits = atob(arm.key).charCodeAt(index), odd = 0;
  for (; bits; bits >>= 1) odd ^= bits & 1;
  return odd === 1;
}

const source = (arm, index) => "data:image/png;base64," + arm.pictures[index];
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const frame = () => new Promise((done) => requestAnimationFrame(done));

function onStage(id) {
  for (const layer of element("stage").children) layer.hidden = layer.id !== id;
}

function drawMask() {
  const canvas = element("mask"), context = canvas.getContext("2d");
  const noise = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < noise.data.length; i++) noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
  context.putImageData(noise, 0, 0);
}

function expect(yes) {
  waiting = yes;
  element("real").disabled = element("fake").disabled = !yes;
}

async function nextTrial() {
  const arm = study.parts[part], timed = arm.arm === "timed";
  expect(false);
  element("part").textContent = timed ? "At a glance" : "At leisure";
  element("place").textContent = `${place + 1} of ${arm.pictures.length}`;
  element("progress").max = arm.pictures.length;
  element("progress").value = place;
  onStage("cross");
  // Decoded before its time begins, so that the exposure is of the picture and not of an empty box.
  const picture = element("picture");
  picture.src = source(arm, place);
  await picture.decode();
  await wait(timed ? 600 : 150);
  if (timed) drawMask();
  onStage("picture");
  await frame();
  shownAt = performance.now();
  exposure = null;
  if (timed) {
    // Half a frame early rather than a whole one late.
    do await frame(); while (performance.now() - shownAt < study.exposure - 8);
    onStage("mask");
    exposure = Math.round(performance.now() - shownAt);
  }
  expect(true);
}

function answer(choice) {
  if (!waiting) return;
  const arm = study.parts[part];
  answers.push({
    arm: arm.arm, index: place, truth: isGenerated(arm, place) ? "generated" : "real",
    answer: choice, milliseconds: Math.round(performance.now() - shownAt), exposure,
  });
  unsaved = true;
  expect(false);
  if (++place < arm.pictures.length) return nextTrial();
  place = 0;
  if (++part < study.parts.length) {
    show("pause");
    element("continue").focus();
  } else {
    finish();
  }
}

function wilson(errors, n) {
  if (n === 0) return [0, 1];
  const z = 1.959963984540054, p = errors / n, scale = 1 + z * z / n;
  const centre = (p + z * z / (2 * n)) / scale;
  const half = z / scale * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return [errors === 0 ? 0 : Math.max(0, centre - half), errors === n ? 1 : Math.min(1, centre + half)];
}

const percent = (share) => (100 * share).toFixed(1) + " %";

function rateRow(name, chosen, heading) {
  const errors = chosen.filter((a) => a.answer !== a.truth).length, n = chosen.length;
  const [low, high] = wilson(errors, n);
  const x = (share) => (100 * share).toFixed(2) + "%";
  return `<tr${heading ? ' class="part"' : ""}><${heading ? "th" : "td"}>${name}</${heading ? "th" : "td"}>` +
    `<td class="number">${errors} of ${n}</td>` +
    `<td class="number">${percent(errors / n)}</td>` +
    `<td class="number">${(100 * low).toFixed(1)} – ${percent(high)}</td>` +
    `<td class="plot"><svg role="img" aria-label="${percent(low)} to ${percent(high)}">` +
    `<line x1="0" x2="100%" y1="50%" y2="50%" stroke="var(--line)"/>` +
    `<line x1="50%" x2="50%" y1="0" y2="100%" stroke="var(--soft)"/>` +
    `<line x1="${x(low)}" x2="${x(high)}" y1="50%" y2="50%" stroke="var(--series-1)" stroke-width="5" stroke-opacity=".45"/>` +
    `<circle cx="${x(errors / n)}" cy="50%" r="4" fill="var(--series-1)"/></svg></td></tr>`;
}

function verdict(name, chosen) {
  const errors = chosen.filter((a) => a.answer !== a.truth).length;
  const [low, high] = wilson(errors, chosen.length);
  if (high < 0.5) return `${name} you could tell generated from real better than by guessing.`;
  if (low > 0.5) return `${name} you were wrong more often than a guess: generated patches looked more real to you.`;
  return `${name} your answers cannot be told from guesses.`;
}

function mistakes(title, chosen) {
  if (chosen.length === 0) return "";
  const pictures = chosen.map((a) => {
    const arm = study.parts.find((p) => p.arm === a.arm);
    return `<img src="${source(arm, a.index)}" alt="patch ${a.index + 1}, ${a.arm} part">`;
  });
  return `<h3>${title} (${chosen.length})</h3><div class="mistakes">${pictures.join("")}</div>`;
}

function link(id, type, text) {
  element(id).href = `data:${type};charset=utf-8,` + encodeURIComponent(text);
  element(id).addEventListener("click", () => { unsaved = false; });
}

function finish() {
  const of = (arm) => answers.filter((a) => a.arm === arm);
  const generated = (list) => list.filter((a) => a.truth === "generated");
  const real = (list) => list.filter((a) => a.truth === "real");
  const rows = [["At a glance", of("timed")], ["At leisure", of("untimed")]].map(([name, list]) =>
    rateRow(name, list, true) + rateRow("generated, called real", generated(list)) +
    rateRow("real, called fake", real(list)));
  element("rates").innerHTML = rows.join("");
  element("verdict").textContent =
    verdict("At a glance", of("timed")) + " " + verdict("At leisure", of("untimed"));
  const wrong = answers.filter((a) => a.answer !== a.truth);
  element("wrong").innerHTML = mistakes("Generated patches that you called real", generated(wrong)) +
    mistakes("Real patches that you called fake", real(wrong));
  const results = {
    format: "patchforge-study", title: study.title, seed: study.seed,
    rater: element("rater").value.trim(), started, finished: new Date().toISOString(), trials: answers,
  };
  link("json", "application/json", JSON.stringify(results, null, 1) + "\n");
  const columns = ["arm", "index", "truth", "answer", "milliseconds", "exposure"];
  const lines = answers.map((a) => columns.map((column) => a[column] ?? "").join(","));
  link("csv", "text/csv", [columns.join(","), ...lines].join("\n") + "\n");
  show("results");
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || element("trial").hidden) return;
  const choice = { ArrowLeft: "real", r: "real", ArrowRight: "generated", f: "generated" }[
    event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (choice) {
    event.preventDefault();
    answer(choice);
  }
});
element("real").addEventListener("click", () => answer("real"));
element("fake").addEventListener("click", () => answer("generated"));
element("begin").addEventListener("click", () => {
  started = new Date().toISOString();
  show("trial");
  nextTrial();
});
element("rater").addEventListener("keydown", (event) => {
  if (event.key === "Enter") element("begin").click();
});
element("continue").addEventListener("click", () => { show("trial"); nextTrial(); });
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
for (const place of document.querySelectorAll(".each")) place.textContent = study.parts[0].pictures.length;
show("intro");
)js";

} // namespace patchforge
