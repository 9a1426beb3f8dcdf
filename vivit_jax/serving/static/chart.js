// The score along a video: a line for each class, drawn over time, with a mark where the video is.

const MARGIN = { left: 40, right: 10, top: 8, bottom: 22 };

function element(name, attributes, parent) {
  const made = document.createElementNS(document.querySelector("svg").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

// A round distance between time marks, so that there are about six.
function step(seconds) {
  const rough = seconds / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
}

export class Chart {
  // lines: [{label, colour, dash, times, values}], seconds: the video's length, clip: [first, last] second of the explained clip.
  // slider: an input that does from the keyboard what the pointer does on the chart.
  constructor(host, slider, legend, { lines, seconds, clip }, onSeek) {
    Object.assign(this, { host, slider, lines, seconds, clip, onSeek, time: null });
    Object.assign(slider, { max: seconds, step: seconds / 50, value: 0 });
    slider.oninput = () => {
      this.at(Number(slider.value));
      this.spell();
      onSeek(this.time);
    };
    legend.replaceChildren(...lines.map((line) => this.entry(line)));
    this.readings = [...legend.querySelectorAll(".reading")];
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(host);
    host.onpointerdown = host.onpointermove = (event) => this.pointed(event);
    host.onpointerleave = () => this.read(this.time);
  }

  entry({ label, colour, dash, model }) {
    const item = document.createElement("li");
    const sample = element("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, item);
    element("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: `stroke-${colour} k${dash}` }, sample);
    const name = document.createElement("span");
    name.textContent = model ? `${label} (${model})` : label;
    const reading = document.createElement("strong");
    reading.className = "reading";
    item.append(name, reading);
    return item;
  }

  x(time) {
    return MARGIN.left + (time / this.seconds) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(value) {
    return MARGIN.top + (1 - value) * (this.height - MARGIN.top - MARGIN.bottom);
  }

  draw() {
    [this.width, this.height] = [this.host.clientWidth, this.host.clientHeight];
    if (!this.width) return;
    this.host.replaceChildren();
    const picture = element("svg", { viewBox: `0 0 ${this.width} ${this.height}`, role: "img", "aria-label": this.summary() }, this.host);
    for (const value of [0, 0.5, 1]) {
      element("line", { x1: MARGIN.left, x2: this.width - MARGIN.right, y1: this.y(value), y2: this.y(value), class: "grid" }, picture);
      element("text", { x: MARGIN.left - 6, y: this.y(value) + 4, "text-anchor": "end" }, picture).textContent = `${100 * value}%`;
    }
    const apart = step(this.seconds);
    for (let time = 0; time <= this.seconds + 1e-9; time += apart) {
      const mark = { x: this.x(time), y: this.height - 5, "text-anchor": time ? "middle" : "start" };
      element("text", mark, picture).textContent = `${Number(time.toFixed(3))} s`;
    }
    const [first, last] = this.clip.map((time) => this.x(time));
    const shade = { x: first, width: Math.max(1, last - first), y: this.y(1), height: this.y(0) - this.y(1), class: "clip" };
    element("title", {}, element("rect", shade, picture)).textContent = "the clip that is explained below";
    for (const { colour, dash, times, values } of this.lines) {
      const points = times.map((time, i) => `${this.x(time)},${this.y(values[i])}`).join(" ");
      element("polyline", { points, class: `stroke-${colour} k${dash}` }, picture).style.fill = "none";
      for (const [time, value, edge] of [[times[0], values[0], 0], [times.at(-1), values.at(-1), this.seconds]]) {
        const ends = { x1: this.x(time), x2: this.x(edge), y1: this.y(value), y2: this.y(value) };
        element("line", { ...ends, class: `edge stroke-${colour}` }, picture);
      }
    }
    this.mark = element("line", { y1: this.y(1), y2: this.y(0), class: "now" }, picture);
    this.at(this.time ?? 0);
  }

  summary() {
    const spoken = this.lines.map(({ label, model, times, values }) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const when = (value) => `${times[values.indexOf(value)].toFixed(1)} seconds`;
      const percent = (value) => `${Math.round(100 * value)} %`;
      return `${label}${model ? ` by ${model}` : ""}: lowest ${percent(low)} at ${when(low)}, highest ${percent(high)} at ${when(high)}`;
    });
    return `Probabilities along the video. ${spoken.join(". ")}.`;
  }

  // Moves the mark to where the video is.
  at(time) {
    this.time = time;
    this.mark?.setAttribute("x1", this.x(time));
    this.mark?.setAttribute("x2", this.x(time));
    this.read(time);
    if (document.activeElement === this.slider) return; // a playing video would have a screen reader speak without end
    this.slider.value = time;
    this.spell();
  }

  // What a screen reader says of the slider.
  spell() {
    const said = this.lines.map(({ label, model }, number) => `${label}${model ? ` by ${model}` : ""} ${this.readings[number].textContent}`);
    this.slider.setAttribute("aria-valuetext", `${this.time.toFixed(1)} seconds: ${said.join(", ")}`);
  }

  read(time) {
    this.lines.forEach(({ times, values }, number) => {
      this.readings[number].textContent = `${(100 * interpolated(times, values, time ?? 0)).toFixed(0)}%`;
    });
  }

  pointed(event) {
    const inside = event.clientX - this.host.getBoundingClientRect().left - MARGIN.left;
    const time = (Math.max(0, Math.min(1, inside / (this.width - MARGIN.left - MARGIN.right))) || 0) * this.seconds;
    this.read(time);
    if (event.type === "pointerdown" || event.buttons) this.onSeek(time);
  }

  close() {
    this.observer.disconnect();
    this.host.replaceChildren();
  }
}

function interpolated(times, values, time) {
  const after = times.findIndex((other) => other >= time);
  if (after < 0) return values.at(-1);
  if (after === 0) return values[0];
  const share = (time - times[after - 1]) / (times[after] - times[after - 1]);
  return (1 - share) * values[after - 1] + share * values[after];
}
