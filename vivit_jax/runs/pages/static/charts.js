// Makes the drawn charts of a page interactive: values at a step, zoom, a logarithmic axis, lines that can be hidden.
//
// pages/charts.py writes each chart as <figure class="chart"> with a drawing, a table and its data as JSON; without this script all of that
// can still be read. Geometry and classes are those of pages/drawing.py.
"use strict";
(() => {
  const MARGIN = { left: 54, right: 14, top: 10, bottom: 38 };
  const HEIGHT = 260;
  const NEAR = 8; // pixels within which a line's point belongs to the step under the pointer
  const [DOTS, DENSE] = [40, 200]; // a line of fewer points shows them, one of more is thin

  const within = (value, [low, high]) => value >= low && value <= high;
  const drawn = (value) => value !== null && Number.isFinite(value);

  function make(name, attributes = {}, parent = null) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  }

  function tag(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Round places for marks, about `count` of them.
  function ticks([low, high], count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  // Powers of ten, with 2 and 5 between them where there are few; round places where the range is narrower than that.
  function logTicks([low, high]) {
    const factors = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
    const powers = Array.from({ length: 80 }, (_, i) => i - 40).filter((power) => within(10 ** power, [low / 10, high]));
    const found = powers.flatMap((power) => factors.map((factor) => factor * 10 ** power)).filter((value) => within(value, [low, high]));
    return found.length > 2 ? found : ticks([low, high], 4);
  }

  function brief(value, share) {
    if (share) return `${Number((100 * value).toPrecision(4))}%`;
    return Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential().replace("e+", "e") : String(Number(value.toPrecision(4)));
  }

  const lone = (series) => series.x.length === 1 || series.line === false;

  const whole = (value, share) => (share ? `${(100 * value).toFixed(2)}%` : String(Number(value.toPrecision(6))));

  class Chart {
    constructor(figure) {
      this.spec = JSON.parse(figure.querySelector("script").textContent);
      this.svg = figure.querySelector("svg");
      this.hidden = new Set();
      this.log = false;
      this.full = this.spec.x.range ?? extent(this.spec.series.flatMap((series) => series.x));
      this.range = this.full;
      this.at = null; // the stop under the cursor
      this.from = null; // the pixel where a drag began
      this.addTools(figure);
      this.svg.setAttribute("tabindex", "0");
      this.svg.setAttribute("role", "application");
      this.svg.setAttribute("aria-roledescription", "chart");
      this.svg.setAttribute("aria-describedby", this.help.id);
      for (const name of ["pointerdown", "pointermove", "pointerup", "pointerleave", "pointercancel"]) {
        this.svg.addEventListener(name, (event) => this.pointed(event));
      }
      this.svg.addEventListener("dblclick", () => this.zoom(this.full));
      this.svg.addEventListener("keydown", (event) => this.typed(event));
      this.svg.addEventListener("blur", () => this.leave());
      new ResizeObserver(() => this.draw()).observe(this.svg.parentElement);
      this.draw();
    }

    addTools(figure) {
      this.place = tag("span", { className: "place" });
      this.entries = this.spec.series.map((series, number) => {
        const reading = tag("span", { className: "reading" });
        const name = tag("span", { className: `key s${number % 4}${lone(series) ? " lone" : ""}` });
        const entry = tag("button", { type: "button", className: "entry" }, name, series.name || this.spec.y.name, reading);
        entry.setAttribute("aria-pressed", "true");
        entry.onclick = () => this.toggle(number);
        return { entry, reading };
      });
      this.logButton = tag("button", { type: "button", className: "tool", textContent: "Log scale", hidden: !this.spec.log });
      this.logButton.setAttribute("aria-pressed", "false");
      this.logButton.onclick = () => this.setLog(!this.log);
      this.resetButton = tag("button", { type: "button", className: "tool", textContent: "Reset zoom", hidden: true });
      this.resetButton.onclick = () => this.zoom(this.full);
      this.spoken = tag("div", { className: "unseen spoken" });
      this.spoken.setAttribute("aria-live", "polite"); // told of what the keyboard does, not of every move of the mouse
      this.help = tag("div", { className: "unseen", id: `help-${figure.id}` });
      this.help.textContent = "Left and right arrows move along the values, plus and minus zoom, 0 shows all.";
      const legend = tag("div", { className: "legend" }, ...this.entries.map(({ entry }) => entry), this.place);
      figure.querySelector(".legend")?.remove();
      figure.querySelector(".head").append(tag("div", { className: "tools" }, this.resetButton, this.logButton));
      figure.querySelector(".head").after(legend);
      figure.append(this.spoken, this.help);
    }

    get shown() {
      return this.spec.series.map((series, number) => ({ ...series, number })).filter(({ number }) => !this.hidden.has(number));
    }

    drawable(value) {
      return drawn(value) && (!this.log || value > 0);
    }

    // The range of y: all of the axis where the chart has one and nothing is zoomed, else what the shown lines need.
    rangeOfY() {
      const all = this.shown.flatMap((series) => series.y.filter((value, i) => this.drawable(value) && within(series.x[i], this.range)));
      if (this.log) {
        const [low, high] = all.length ? extent(all) : [0.1, 1];
        return [low / 1.2, high * 1.2];
      }
      if (this.spec.y.range && this.range === this.full) return this.spec.y.range;
      const [low, high] = all.length ? extent(all) : [0, 1];
      const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
      return this.range === this.full && low >= 0 ? [0, high + room] : [low - room, high + room];
    }

    draw() {
      this.width = this.svg.parentElement.clientWidth;
      if (!this.width) return;
      const [left, right] = [MARGIN.left, this.width - MARGIN.right];
      const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
      const ys = this.rangeOfY();
      const scale = this.log ? Math.log : Number;
      this.x = (value) => left + ((value - this.range[0]) / (this.range[1] - this.range[0])) * (right - left);
      this.y = (value) => bottom - ((scale(value) - scale(ys[0])) / (scale(ys[1]) - scale(ys[0]))) * (bottom - top);
      this.toX = (pixel) => this.range[0] + ((pixel - left) / (right - left)) * (this.range[1] - this.range[0]);
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
      this.svg.replaceChildren();
      for (const value of this.log ? logTicks(ys) : ticks(ys, 4)) {
        make("line", { class: "grid", x1: left, x2: right, y1: this.y(value), y2: this.y(value) }, this.svg);
        this.label(left - 7, this.y(value) + 4, "end", brief(value, this.spec.y.share));
      }
      for (const value of ticks(this.range, Math.max(2, Math.floor(this.width / 75)))) {
        this.label(this.x(value), bottom + 16, "middle", brief(value, this.spec.x.share));
      }
      make("line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom }, this.svg);
      this.label((left + right) / 2, HEIGHT - 4, "middle", this.spec.x.name);
      const plot = make("svg", { x: 0, y: 0, width: this.width, height: HEIGHT }, this.svg);
      if (this.range !== this.full) {
        const window = { x: left, y: 0, width: right - left, height: bottom + 4 };
        for (const [key, value] of Object.entries({ ...window, viewBox: Object.values(window).join(" ") })) plot.setAttribute(key, value);
      }
      plot.style.overflow = this.range === this.full ? "visible" : "hidden";
      if (this.spec.diagonal) make("line", { class: "diagonal", x1: this.x(0), y1: this.y(this.spec.diagonal[0]), x2: this.x(1), y2: this.y(this.spec.diagonal[1]) }, plot);
      for (const series of this.shown) this.drawSeries(series, plot);
      this.band = make("rect", { class: "band", y: top, height: bottom - top, width: 0 }, this.svg);
      this.cursor = make("g", { class: "cursor" }, this.svg);
    }

    label(x, y, anchor, text) {
      make("text", { x, y, "text-anchor": anchor }, this.svg).textContent = text;
    }

    drawSeries({ x, y, low, high, steps, dots, line, number }, plot) {
      let path = "";
      let before = null;
      x.forEach((value, i) => {
        if (!this.drawable(y[i])) before = null;
        else {
          const [px, py] = [this.x(value).toFixed(1), this.y(y[i]).toFixed(1)];
          path += before === null ? `M${px} ${py}` : steps ? `V${py}H${px}` : `L${px} ${py}`;
          before = i;
        }
      });
      const css = `s${number % 4}`;
      if (line !== false) make("path", { class: `line ${css}${x.length > DENSE ? " dense" : ""}`, d: path }, plot);
      x.forEach((value, i) => {
        if (!this.drawable(y[i])) return;
        const place = { x1: this.x(value), x2: this.x(value) };
        if (low) make("line", { class: `whisker ${css}`, ...place, y1: this.y(low[i]), y2: this.y(high[i]) }, plot);
        if (dots ?? x.length <= DOTS) make("circle", { class: `dot ${css}`, cx: place.x1, cy: this.y(y[i]), r: lone({ x, line }) ? 4.5 : 2.8 }, plot);
      });
    }

    // Where the cursor may stand, in order: the points of a single line, or every step at which some line has one.
    stops() {
      const points = this.shown.flatMap(({ x, y }) => x.map((value, i) => [value, y[i]])).filter(([x, y]) => this.drawable(y) && within(x, this.range));
      return this.shown.length === 1 ? points : [...new Set(points.map(([x]) => x))].sort((a, b) => a - b).map((x) => [x, null]);
    }

    // Puts the cursor on a stop and shows the value of every line there.
    moveTo(stop) {
      this.at = stop;
      this.cursor.replaceChildren();
      const [x, y] = stop;
      make("line", { x1: this.x(x), x2: this.x(x), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }, this.cursor);
      this.place.textContent = `${this.spec.x.name} ${whole(x, this.spec.x.share)}`;
      const said = [this.place.textContent];
      this.entries.forEach(({ reading }) => (reading.textContent = ""));
      for (const series of this.shown) {
        const i = this.nearest(series, x, y);
        if (i < 0) continue;
        make("circle", { class: `dot s${series.number % 4}`, cx: this.x(series.x[i]), cy: this.y(series.y[i]), r: 4 }, this.cursor);
        const beside = Object.entries(series.beside ?? {}).map(([name, values]) => `${name} ${values[i]}`);
        const elsewhere = series.x[i] === x ? [] : [`at ${whole(series.x[i], this.spec.x.share)}`];
        const { reading } = this.entries[series.number];
        reading.textContent = [whole(series.y[i], this.spec.y.share), ...elsewhere, ...beside].join(", ");
        said.push(`${series.name || this.spec.y.name} ${reading.textContent}`);
      }
      return said.join("; ");
    }

    nearest(series, x, y) {
      let best = -1;
      const away = (i) => Math.abs(this.x(series.x[i]) - this.x(x)) + (y === null ? 0 : 1e-3 * Math.abs(this.y(series.y[i]) - this.y(y)));
      series.x.forEach((value, i) => {
        if (this.drawable(series.y[i]) && within(value, this.range) && (best < 0 || away(i) < away(best))) best = i;
      });
      return best >= 0 && away(best) <= NEAR ? best : -1;
    }

    leave() {
      this.at = null;
      this.cursor.replaceChildren();
      this.place.textContent = "";
      this.entries.forEach(({ reading }) => (reading.textContent = ""));
    }

    pointed(event) {
      const box = this.svg.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      if (event.type === "pointerdown" && event.button === 0) {
        this.from = px;
        this.svg.setPointerCapture(event.pointerId);
      }
      if (event.type === "pointerup" && this.from !== null && Math.abs(px - this.from) > 6) {
        this.zoom([Math.min(px, this.from), Math.max(px, this.from)].map((pixel) => Math.min(Math.max(this.toX(pixel), this.range[0]), this.range[1])));
      }
      if (["pointerup", "pointercancel", "pointerleave"].includes(event.type)) {
        this.from = null;
        this.band.setAttribute("width", 0);
        if (event.type !== "pointerup") return this.leave();
      }
      if (this.from !== null && Math.abs(px - this.from) > 6) {
        this.band.setAttribute("x", Math.min(px, this.from));
        this.band.setAttribute("width", Math.abs(px - this.from));
      }
      const away = ([x, y]) => Math.abs(this.x(x) - px) + (y === null ? 0 : Math.abs(this.y(y) - py));
      const stops = this.stops();
      if (stops.length) this.moveTo(stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best)));
      return undefined;
    }

    typed(event) {
      const stops = this.stops();
      const now = this.at ? stops.findIndex(([x, y]) => x === this.at[0] && y === this.at[1]) : -1;
      const to = { ArrowRight: Math.min(now + 1, stops.length - 1), ArrowLeft: now < 0 ? stops.length - 1 : Math.max(now - 1, 0), Home: 0, End: stops.length - 1 };
      const around = (this.at ?? [(this.range[0] + this.range[1]) / 2])[0];
      const closer = (factor) => this.range.map((end) => around + (end - around) * factor);
      if (event.key in to && stops.length) this.spoken.textContent = this.moveTo(stops[to[event.key]]);
      else if (event.key === "+" || event.key === "=") this.zoom(closer(0.5));
      else if (event.key === "-") this.zoom(closer(2));
      else if (event.key === "0") this.zoom(this.full);
      else return;
      event.preventDefault();
    }

    // Shows x from low to high, or all of it.
    zoom([low, high]) {
      const range = [Math.max(low, this.full[0]), Math.min(high, this.full[1])];
      if (range[1] - range[0] < 1e-6 * (this.full[1] - this.full[0])) return;
      const all = range[0] === this.full[0] && range[1] === this.full[1];
      this.range = all ? this.full : range;
      this.resetButton.hidden = all;
      this.spoken.textContent = `${this.spec.x.name} ${range.map((end) => brief(end, this.spec.x.share)).join(" to ")}`;
      this.draw();
    }

    setLog(log) {
      this.log = log;
      this.logButton.setAttribute("aria-pressed", log);
      this.draw();
    }

    toggle(number) {
      if (!this.hidden.delete(number)) this.hidden.add(number);
      this.entries[number].entry.setAttribute("aria-pressed", !this.hidden.has(number));
      this.draw();
    }
  }

  function extent(values) {
    const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    if (high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high))) return [low, high];
    const room = 0.1 * Math.abs(low);
    return room > 1e-300 ? [low - room, high + room] : [0, 1];
  }

  for (const figure of document.querySelectorAll("figure.chart")) new Chart(figure);
})();
