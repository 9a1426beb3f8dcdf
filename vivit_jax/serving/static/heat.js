// The clip that a model saw, under heat: what each of its tokens adds to a class's log-odds.

const OPACITY = 0.75;

// Heat of a strength in 0..1, as the package's drawings have it: from nothing through red to yellow.
const colour = (strength) => [255, Math.round(255 * strength), 0, Math.round(255 * OPACITY * strength)];

export class Heat {
  constructor(evidence) {
    [this.count, this.rows, this.columns] = evidence.shape;
    this.times = evidence.times;
    this.tokens = evidence.tokens;
    this.support = this.tokens.filter((value) => value > 0).reduce((sum, value) => sum + value, 0);
    this.full = evidence.full_colour ?? Infinity; // the server sees to it that next to no evidence does not glow
  }

  // A small canvas with a pixel for each token at a frame of the clip, interpolated in time between tokens.
  at(frame) {
    const { times, rows, columns } = this;
    let after = times.findIndex((time) => time >= frame);
    if (after < 0) after = times.length - 1;
    const before = after > 0 && times[after] > frame ? after - 1 : after;
    const span = times[after] - times[before];
    const share = span ? (frame - times[before]) / span : 0;
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    const picture = new ImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const value = (which) => Math.max(0, this.tokens[which * rows * columns + i]);
      const strength = Math.min(1, ((1 - share) * value(before) + share * value(after)) / this.full);
      picture.data.set(colour(strength), 4 * i);
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }
}

export class Clip {
  constructor(clip, picture, heat) {
    Object.assign(this, { clip, picture, heat });
  }

  get small() {
    return Math.max(this.clip.width, this.clip.height) <= 96;
  }

  // Draws a frame, grey under its heat or in its own colours, on a canvas of the frame's shape.
  draw(canvas, number, heated) {
    const { width, height, columns } = this.clip;
    const zoom = this.small ? Math.ceil(320 / width) : 1;
    canvas.width = width * zoom;
    canvas.height = height * zoom;
    canvas.classList.toggle("small", this.small);
    const context = canvas.getContext("2d");
    const size = [0, 0, canvas.width, canvas.height];
    context.imageSmoothingEnabled = !this.small;
    context.drawImage(this.picture, (number % columns) * width, Math.floor(number / columns) * height, width, height, ...size);
    if (!heated) return;
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "hsl(0 0% 50%)";
    context.fillRect(...size);
    context.globalCompositeOperation = "source-over";
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.heat.at(number), ...size);
  }
}

// The scale's colours over black, from 0 to full heat.
export function drawRamp(canvas) {
  const picture = new ImageData(canvas.width, 1);
  for (let i = 0; i < canvas.width; i++) {
    const [red, green, blue, opacity] = colour(i / (canvas.width - 1));
    const under = 128 * (1 - opacity / 255);
    picture.data.set([red, green, blue].map((value) => (value * opacity) / 255 + under).concat(255), 4 * i);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
