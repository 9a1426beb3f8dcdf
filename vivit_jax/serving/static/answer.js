// One model's answer: its rankings, and the clip it saw under the heat of its evidence.

import { breakable } from "./text.js";
import { Clip, Heat, drawRamp } from "./heat.js";

const FRAMES_A_SECOND = 8;
const percent = (value) => `${(100 * value).toFixed(1)}%`;
const digits = (value) => Intl.NumberFormat("en", { maximumSignificantDigits: 2 }).format(Math.abs(value));
const signed = (value) => `${value < 0 ? "−" : "+"}${digits(value)}`;

// How much evidence there is, in words. A gain of 1 in log-odds is a factor of e, about 2.7, in the odds.
function amount({ score, blank, label }, { support }) {
  const gain = score - blank;
  const size = Math.abs(gain);
  if (size < 0.1) return `Almost none: for ${label}, the model sees no difference between this clip and a blank one.`;
  const words = size < 1 ? "Little evidence" : size < 4 ? "Clear evidence" : "Strong evidence";
  const factor = size < 20 ? `, and ${gain < 0 ? "divides" : "multiplies"} its odds by ${digits(Math.exp(size))}` : "";
  const against = support - gain;
  const sum = against > 0.1 * support ? ` The patches that speak for it add ${signed(support)}, the others ${signed(-against)}.` : "";
  const effect = `${gain < 0 ? "lowers" : "raises"} the log-odds of ${label} by ${digits(size)}`;
  return `${words}${gain < 0 ? " against it" : ""}: compared with a blank clip, this one ${effect}${factor}.${sum}`;
}

export class Answer {
  // onLabel is called with the class to explain instead.
  constructor(template, result, model, number, onLabel) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.classList.toggle("second", number > 0);
    this.find = (selector) => this.root.querySelector(selector);
    const dot = document.createElement("span");
    dot.className = number ? "dot second" : "dot";
    this.find("header h2").append(dot, model.name);
    this.find(".about").textContent = `${model.description}; answered in ${result.seconds.toFixed(1)} s`;
    this.rank(result, onLabel);
    this.timer = null;
    this.ready = this.show(result);
  }

  rank({ predictions, evidence }, onLabel) {
    const heads = Array.isArray(predictions) ? { "": predictions } : predictions;
    for (const [head, ranking] of Object.entries(heads)) {
      const list = document.createElement("ol");
      list.className = "ranking";
      list.setAttribute("aria-label", head || "Most probable classes");
      for (const { label, probability } of ranking) list.append(this.row(label, probability, label === evidence.label, onLabel));
      if (head) {
        const title = document.createElement("h3");
        title.textContent = head;
        this.find(".rankings").append(title);
      }
      this.find(".rankings").append(list);
    }
  }

  row(label, probability, explained, onLabel) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.title = "show the evidence for this class";
    button.setAttribute("aria-pressed", String(explained));
    for (const [kind, text] of [["fill", ""], ["name", label], ["number", percent(probability)]]) {
      const span = document.createElement("span");
      span.className = kind;
      span.append(breakable(text));
      if (kind === "fill") span.style.width = percent(probability);
      button.append(span);
    }
    button.onclick = () => onLabel(label);
    item.append(button);
    return item;
  }

  // Gives the focus to the class that is explained.
  focus() {
    this.find('.ranking [aria-pressed="true"]')?.focus({ preventScroll: true });
  }

  async show({ clip, evidence }) {
    const picture = new Image();
    picture.src = clip.picture;
    await picture.decode();
    const heat = new Heat(evidence);
    this.clip = new Clip(clip, picture, heat);
    this.find("h3 .label").append(breakable(evidence.label));
    this.find(".amount").append(breakable(amount(evidence, heat)));
    this.scale(heat);
    const seek = this.find(".seek");
    seek.max = clip.frames - 1;
    seek.oninput = () => { this.pause(); this.at(Number(seek.value)); this.scroll(); };
    this.find(".heat").onchange = () => { this.fillStrip(); this.at(this.number); };
    this.find(".play").onclick = () => (this.timer ? this.pause() : this.play());
    this.find(".strip").setAttribute("aria-label", `The ${clip.frames} frames of the clip`);
    this.fillStrip();
    this.at(0);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
  }

  // A clip that does not speak for the class has no heat, and no scale of it.
  scale({ full }) {
    const ramp = this.find(".ramp");
    ramp.hidden = this.find(".ticks").hidden = !Number.isFinite(full);
    this.find(".most").textContent = signed(full);
    drawRamp(ramp);
    ramp.setAttribute("aria-label", `Scale of the heat: from 0 to ${signed(full)} log-odds that a patch adds`);
  }

  fillStrip() {
    const heated = this.find(".heat").checked;
    this.find(".strip").replaceChildren(...this.clip.clip.times.map((time, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1; // the slider above does the same from the keyboard
      button.setAttribute("aria-label", `frame ${number + 1}, at ${time.toFixed(2)} seconds`);
      const canvas = document.createElement("canvas");
      this.clip.draw(canvas, number, heated);
      button.append(canvas);
      button.onclick = () => { this.pause(); this.at(number); };
      return button;
    }));
  }

  at(number) {
    this.number = number;
    const { times, frames } = this.clip.clip;
    const frame = this.find(".frame");
    this.clip.draw(frame, number, this.find(".heat").checked);
    frame.setAttribute("aria-label", `Frame ${number + 1} of ${frames} that the model saw`);
    this.find(".seek").value = number;
    this.find(".seek").setAttribute("aria-valuetext", `frame ${number + 1} of ${frames}, at ${times[number].toFixed(2)} seconds`);
    this.find(".strip [aria-current]")?.removeAttribute("aria-current");
    this.find(".strip").children[number]?.setAttribute("aria-current", "true");
  }

  // Brings the strip's picture of the frame into view.
  scroll() {
    const strip = this.find(".strip");
    const picture = strip.children[this.number];
    strip.scrollLeft = picture.offsetLeft - strip.offsetLeft - (strip.clientWidth - picture.clientWidth) / 2;
  }

  play() {
    this.find(".play").textContent = "❚❚";
    this.find(".play").setAttribute("aria-label", "Pause");
    this.timer = setInterval(() => this.at((this.number + 1) % this.clip.clip.frames), 1000 / FRAMES_A_SECOND);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.find(".play").textContent = "▶";
    this.find(".play").setAttribute("aria-label", "Play");
  }
}
