// The page: takes a video, asks the server, shows what the models say. Text from files and models is never read as markup.

import { Answer } from "./answer.js";
import { Chart } from "./chart.js";
import * as camera from "./camera.js";
import { send } from "./send.js";
import { breakable } from "./text.js";

const COLOURS = ["first", "second", "third"];
const find = (id) => document.getElementById(id);
const film = find("film");
const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then nothing moves that nobody started
const shown = { models: [], answers: [], chart: null, file: null, asking: null, bytes: Infinity };

function say(text, kind = "") {
  find("status").className = `status ${kind}`;
  find("status").textContent = text;
  find("verdict").parentElement.classList.toggle("waiting", kind === "busy");
}

// Shows how much of an upload has gone; a share of 1, when the server is at work, shows none.
function sent(share) {
  find("sent").hidden = share === 1;
  find("sent").value = share;
}

// Shows a file in the player; a container that the browser cannot play is no reason not to ask the model.
function put(file) {
  if (film.src) URL.revokeObjectURL(film.src);
  shown.file = file;
  find("invitation").hidden = true;
  find("drop").classList.add("full");
  find("unplayable").hidden = true;
  film.hidden = false;
  film.src = URL.createObjectURL(file);
  film.setAttribute("aria-label", `The video ${file.name}`);
  if (!still) film.play().catch(() => {});
}

// Back to the invitation, where a file turns out to be no video.
function clear() {
  film.hidden = find("unplayable").hidden = find("result").hidden = true;
  find("invitation").hidden = false;
  find("drop").classList.remove("full");
  find("verdict").replaceChildren();
}

// asker: the number of the answer in which another class was chosen.
async function ask(file, label = "", asker = 0) {
  shown.asking?.abort();
  if (file.size > shown.bytes) {
    clear();
    say(`${file.name} is too large: this server takes at most ${shown.bytes / 1e6} MB.`, "bad");
    return;
  }
  const asking = (shown.asking = new AbortController());
  say(label ? `Looking for evidence for ${label} …` : `Looking at ${file.name} …`, "busy");
  find("cancel").hidden = false;
  const form = new FormData();
  form.append("file", file, file.name);
  const query = new URLSearchParams({ details: "true", ...(label && { label }) });
  try {
    const { ok, said } = await send(`api/predict?${query}`, form, asking.signal, sent);
    if (!ok) throw new Error(said?.error ?? "The server's answer cannot be read.");
    await show(said, label, asker);
  } catch (error) {
    if (shown.asking !== asking) return; // another question has taken its place
    if (error.name === "AbortError") say("Cancelled.");
    else say(error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message, "bad");
    if (!label) clear();
  } finally {
    if (shown.asking === asking) find("cancel").hidden = find("sent").hidden = true;
  }
}

function cancel() {
  shown.asking?.abort();
  find("file").focus();
}

async function show({ video, views, results }, label, asker) {
  shown.answers.forEach((answer) => answer.pause());
  const models = results.map((result) => shown.models.find((model) => model.name === result.model));
  shown.answers = results.map((result, number) => {
    const again = (other) => ask(shown.file, other, number);
    return new Answer(find("answer"), result, models[number], number, again);
  });
  await Promise.all(shown.answers.map((answer) => answer.ready));
  find("answers").replaceChildren(...shown.answers.map((answer) => answer.root));
  find("answers").classList.toggle("one", results.length === 1);
  find("result").hidden = false;
  if (label) shown.answers[asker].focus();
  draw(video, results);
  find("verdict").replaceChildren(...results.map(verdict));
  const facts = `${video.frames} frames, ${video.seconds.toFixed(1)} s, ${video.width} × ${video.height}; mean of ${views.join(" × ")} views`;
  say(label ? `Now showing the evidence for ${label}.` : `${video.name}: ${facts}`);
}

const foremost = ({ predictions }) => (Array.isArray(predictions) ? predictions : Object.values(predictions)[0])[0];

function verdict(result, number) {
  const { label, probability } = foremost(result);
  const item = document.createElement("li");
  const parts = [[number ? "dot second" : "dot", ""], ["name", label], ["number", `${(100 * probability).toFixed(1)}%`]];
  if (shown.models.length > 1) parts.push(["soft", result.model]);
  for (const [kind, text] of parts) {
    const span = document.createElement("span");
    span.className = kind;
    span.append(breakable(text));
    item.append(span);
  }
  return item;
}

// One model's foremost classes, each in its colour; of several models the foremost two of each, in the model's colour.
function draw(video, results) {
  shown.chart?.close();
  shown.chart = null;
  const several = results.length > 1;
  const lines = results.flatMap(({ model, along }, number) =>
    (along?.curves ?? []).slice(0, several ? 2 : 3).map(({ label, probabilities }, place) => ({
      label,
      model: several ? model : "",
      colour: several ? (number ? "second" : "first") : COLOURS[place],
      dash: several ? place : 0,
      times: along.starts.map((start, i) => (start + along.ends[i]) / 2),
      values: probabilities,
    })));
  find("along").hidden = !lines.length;
  if (!lines.length) return;
  const { starts, ends } = results[0].along;
  const length = (ends[0] - starts[0]).toFixed(1);
  find("along-about").textContent = `Each point is a clip of ${length} s around it; the shaded one is shown below. Click to go there.`;
  const clip = results[0].clip.times;
  const setting = { lines, seconds: video.seconds, clip: [clip[0], clip.at(-1)] };
  shown.chart = new Chart(find("chart"), find("place"), find("legend"), setting, seek);
}

function seek(time) {
  film.pause();
  film.currentTime = time;
}

function take(file) {
  if (!file) return;
  put(file);
  ask(file);
}

async function takeExample(name) {
  for (const button of find("examples").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.name === name));
  const answer = await fetch(`examples/${name}.mp4`);
  take(new File([await answer.blob()], `${name}.mp4`, { type: "video/mp4" }));
}

async function takeCamera() {
  const button = find("camera");
  button.disabled = true;
  find("invitation").hidden = true;
  film.hidden = false;
  film.removeAttribute("src");
  try {
    take(await camera.record(film, (left) => say(`Recording: ${left} s left`, "busy")));
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`, "bad");
    clear();
  } finally {
    button.disabled = false;
  }
}

function example({ name, title }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.name = name;
  button.setAttribute("aria-pressed", "false");
  const preview = Object.assign(document.createElement("video"), { src: `examples/${name}.mp4`, muted: true, playsInline: true });
  preview.setAttribute("aria-hidden", "true");
  preview.tabIndex = -1;
  preview.autoplay = !still;
  preview.ontimeupdate = () => { // what moves beside the text stops within five seconds, but for who points at it
    if (preview.currentTime > 4 && !button.matches(":hover, :focus-visible")) preview.pause();
  };
  if (!still) button.onpointerenter = button.onfocus = () => preview.play().catch(() => {});
  const caption = document.createElement("span");
  caption.textContent = title;
  button.append(preview, caption);
  button.onclick = () => takeExample(name).catch((error) => say(error.message, "bad"));
  item.append(button);
  return item;
}

function chip(model, number) {
  const item = document.createElement("li");
  const dot = document.createElement("span");
  dot.className = number ? "dot second" : "dot";
  const { frames, width, height } = model.clip;
  const parameters = Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(model.parameters);
  item.append(dot, `${model.name}: ${parameters} parameters, ${frames} frames of ${width} × ${height}`);
  return item;
}

function listen() {
  find("file").onchange = ({ target }) => {
    take(target.files[0]);
    target.value = "";
  };
  const drop = find("drop");
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  find("camera").onclick = takeCamera;
  find("cancel").onclick = cancel;
  find("camera").hidden = !camera.available();
  film.ontimeupdate = () => shown.chart?.at(film.currentTime);
  film.onerror = () => {
    if (!film.getAttribute("src")) return;
    film.hidden = true;
    find("unplayable").hidden = false;
  };
}

listen();
const [examples, models] = await Promise.all([fetch("examples"), fetch("api/models")]);
const offered = await examples.json();
find("examples").append(...offered.map(example));
shown.models = await models.json();
shown.bytes = Number(models.headers.get("X-Upload-Limit"));
find("bounds").prepend(`Up to ${shown.bytes / 1e6} MB. `);
find("models").append(...shown.models.map(chip));
const wanted = new URLSearchParams(location.search).get("example");
if (wanted) takeExample(offered[Number(wanted) - 1]?.name ?? wanted).catch((error) => say(error.message, "bad"));
