// `draw` paints a frame: titles, planes, points, images, what is hovered over, selected, labelled.

const FAINT = 64; // of 255: plain squares below 1/4
const THUMB = 15; // pixels of an image that stands for its point
const TURN = 2 * Math.PI;
const SHACKLE = new Path2D("M -4 -6 v -3 a 4 4 0 0 1 8 0 v 3");
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
const THEMES = {
  light: { ink: "#1c2430", muted: "#667085", faint: "#d5dae1", plane: "#ffffff", locked: "#f4f5f7", none: "#98a1ae" },
  dark: { ink: "#e8ebf0", muted: "#98a2b3", faint: "#3a4250", plane: "#14171c", locked: "#1a1e25", none: "#7a8494" },
};

// look: theme, points {labels, names}, tint {colours, index}, sprites of the colours, strips of images, lenses, hidden
// labels, sheet of thumbnails where they stand for points, hover {channel, point}, selected and given points, lasso.
function draw(context, frame, plan, look) {
  plan.tiles.forEach((tile, channel) => {
    drawTitle(context, frame, channel, tile, plan, look.theme);
    if (channel >= frame.k_active) return drawLocked(context, tile, plan, look.theme);
    context.save();
    context.beginPath();
    context.rect(tile.x, tile.y, plan.side, plan.side);
    context.clip();
    const to = toPixels(tile, plan, look.lenses[channel]);
    drawPlane(context, frame.scale, tile, plan, to, look.theme);
    drawPoints(context, frame, channel, tile, plan, to, look);
    drawMarks(context, frame, channel, plan, to, look);
    context.restore();
    if (plan.image) drawImages(context, frame, channel, tile, plan, look.strips);
  });
  if (look.lasso) drawLasso(context, look);
  drawFoot(context, frame, plan, look);
}

function write(context, text, x, y, { size, weight = 400, colour, align = "left", width = Infinity }) {
  context.font = `${weight} ${size}px ${FONT}`;
  context.fillStyle = colour;
  context.textAlign = align;
  let shown = text;
  while (text && context.measureText(shown).width > width) shown = `${(text = text.slice(0, -1)).trimEnd()}…`;
  context.fillText(shown, x, y);
  return context.measureText(shown).width;
}

function drawTitle(context, { usage, titles, k_active }, channel, { x, y }, { side, image, width, room, wraps }, theme) {
  const locked = channel >= k_active, colour = locked || usage[channel] < 0.01 ? theme.muted : theme.ink;
  const share = locked ? `${channel}` : `${channel} · ${(100 * usage[channel]).toFixed(1)} %`;
  const words = locked ? "" : titles[channel], most = Math.min(image ? room : side + 8, width - x);
  const style = image ? { size: 12.5, weight: 600, width: most, colour } : { size: 10, width: most, colour };
  if (!wraps) return write(context, `${share} ${words}`.trim(), x, y - 7, style);
  write(context, share, x, y - 7 - LINE, style);
  write(context, words, x, y - 7, { ...style, size: 11.5, weight: 400 });
}

function drawFrame(context, { x, y }, side, fill, theme) {
  context.fillStyle = fill;
  context.fillRect(x, y, side, side);
  context.strokeStyle = theme.faint;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
}

// Axes through 0, and the prior N(0, I) at one and at two standard deviations.
function drawPlane(context, scale, tile, plan, { x, y, unit }, theme) {
  drawFrame(context, tile, plan.side, theme.plane, theme);
  context.fillStyle = theme.faint;
  context.fillRect(tile.x, Math.floor(y), plan.side, 1);
  context.fillRect(Math.floor(x), tile.y, 1, plan.side);
  context.beginPath();
  for (const radius of [1, 2].map((deviations) => (deviations * unit * BEYOND) / scale)) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, TURN);
  }
  context.stroke();
}

function drawPoints(context, { n, z, opacity, owner }, channel, tile, plan, { unit, x, y }, look) {
  const { points, tint, sprites, theme, hidden, sheet, by } = look, square = 1.77 * plan.radius, { cell, size } = sprites;
  const framed = by !== "label" || points.image[2] === 3; // an image whose ink says something else, or has its own colours
  const outside = (left, top) =>
    left < tile.x - size || left > tile.x + plan.side + size || top < tile.y - size || top > tile.y + plan.side + size;
  for (const own of [false, true]) // a channel's own points lie on top
    for (let i = 0; i < n; i++) {
      const alpha = opacity[channel * n + i], label = points.labels[i] ?? -1;
      if (!alpha || (owner[i] === channel) !== own || hidden.has(label)) continue;
      const at = 2 * (channel * n + i), [left, top] = [x + z[at] * unit, y - z[at + 1] * unit];
      if (outside(left, top)) continue;
      const hollow = Math.abs(z[at]) === BEYOND || Math.abs(z[at + 1]) === BEYOND, colour = tint.index(i);
      context.globalAlpha = alpha / 255;
      if (sheet && own && alpha >= FAINT && !hollow) {
        const [x, y] = [left - THUMB / 2, top - THUMB / 2];
        drawThumb(context, sheet, i, x, y, THUMB);
        context.strokeStyle = tint.colours[colour] ?? theme.none;
        if (framed) context.strokeRect(x, y, THUMB, THUMB);
      } else if (alpha < FAINT && !hollow) { // the many, eight times faster than a sprite
        context.fillStyle = tint.colours[colour] ?? theme.none;
        context.fillRect(left - square / 2, top - square / 2, square, square);
      } else {
        const [column, row] = [(colour + 1) * cell, hollow ? cell : 0];
        context.drawImage(sprites.bitmap, column, row, cell, cell, left - size / 2, top - size / 2, size, size);
      }
    }
  context.globalAlpha = 1;
}

// A dot of every colour, that of "none" first: a row of full ones, a row of hollow ones.
function makeSprites(colours, theme, radius, ratio) {
  const cell = Math.ceil((2 * radius + 2) * ratio), size = cell / ratio;
  const canvas = new OffscreenCanvas(cell * (colours.length + 1), 2 * cell), context = canvas.getContext("2d");
  [theme.none, ...colours].forEach((colour, column) => [false, true].forEach((hollow, row) => {
    context.setTransform(ratio, 0, 0, ratio, column * cell, row * cell);
    context.beginPath();
    context.arc(size / 2, size / 2, hollow ? radius - 0.5 : radius, 0, TURN);
    context.fillStyle = hollow ? "transparent" : colour;
    context.strokeStyle = hollow ? colour : theme.plane; // a rim tells crowded points apart
    context.fill();
    context.stroke();
  }));
  return { bitmap: canvas.transferToImageBitmap(), cell, size };
}

// K images side by side, each with a border of its own outermost pixels, so that scaling mixes no neighbours.
function paintStrip(canvas, { bytes, h, w, shade }, k) {
  Object.assign(canvas, { width: k * (w + 2), height: h + 2 });
  const context = canvas.getContext("2d"), { data } = context.createImageData(canvas.width, canvas.height);
  const inside = (at, length) => Math.max(0, Math.min(length - 1, at - 1));
  for (let y = 0, to = 0; y < canvas.height; y++)
    for (let x = 0; x < canvas.width; x++, to += 4) {
      const pixel = (Math.floor(x / (w + 2)) * h + inside(y, h)) * w + inside(x % (w + 2), w);
      for (let colour = 0; colour < 3; colour++) data[to + colour] = shade(bytes, pixel, colour);
      data[to + 3] = 255;
    }
  context.putImageData(new ImageData(data, canvas.width), 0, 0);
}

function drawImages(context, { mean, sigma }, channel, tile, { side, image, beside }, strips) {
  const zoom = image / Math.max(mean.h, mean.w), width = mean.w * zoom, height = mean.h * zoom;
  let x = tile.x + (beside ? side + IMAGE_GAP : 0), y = tile.y + (beside ? 0 : side + IMAGE_GAP);
  for (const [{ h, w }, strip] of sigma ? [[mean, strips.mean], [sigma, strips.sigma]] : [[mean, strips.mean]]) {
    context.drawImage(strip, channel * (w + 2) + 1, 1, w, h, x, y, width, height);
    if (beside) y += height + IMAGE_GAP;
    else x += width + IMAGE_GAP;
  }
}

function drawLocked(context, tile, { side }, theme) {
  drawFrame(context, tile, side, theme.locked, theme);
  context.save();
  context.translate(tile.x, tile.y);
  context.beginPath();
  for (let sum = 8; sum < 2 * side; sum += 8) {
    context.moveTo(Math.min(side, sum), Math.max(0, sum - side));
    context.lineTo(Math.max(0, sum - side), Math.min(side, sum));
  }
  context.globalAlpha = 0.55;
  context.stroke();
  context.globalAlpha = 1;
  context.translate(side / 2, side / 2);
  context.fillStyle = theme.locked;
  context.fillRect(-30, -22, 60, 44);
  context.strokeStyle = theme.muted;
  context.lineWidth = 1.6;
  context.stroke(SHACKLE);
  write(context, "locked", 0, 17, { size: 11, colour: theme.muted, align: "center" });
  context.fillRect(-6.5, -7, 13, 10);
  context.restore();
}

// A ring around the point under the pointer, smaller ones around selected points; labelled ones have a dot in them.
function drawMarks(context, { z, n, owner }, channel, { radius }, { x, y, unit }, { hover, selected, given, theme, hidden, points }) {
  const here = (i) => owner[i] === channel && !hidden.has(points.labels[i] ?? -1);
  const ring = (i, size, fill) => {
    const at = 2 * (channel * n + i);
    context.beginPath();
    context.arc(x + z[at] * unit, y - z[at + 1] * unit, size, 0, TURN);
    if (fill) context.fill();
    else context.stroke();
  };
  context.strokeStyle = context.fillStyle = theme.ink;
  context.lineWidth = 1.2;
  for (const i of selected) if (here(i)) ring(i, radius + 1.5);
  for (const i of given.points.keys()) if (here(i)) ring(i, radius - 0.4, true);
  context.lineWidth = 1.5;
  if (hover?.channel === channel) ring(hover.point, radius + 3);
}

function drawLasso(context, { lasso: { path }, theme }) {
  context.beginPath();
  for (const [x, y] of path) context.lineTo(x, y);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = context.strokeStyle = theme.ink;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1;
  context.stroke();
}

// Images of the points in one sheet, COLUMNS to a row: their ink in the colour of their label, or as they are in RGB.
const COLUMNS = 40;
function makeSheet({ labels, colours, image: [h, w, c] }, bytes, theme) {
  const count = labels.length, canvas = document.createElement("canvas");
  Object.assign(canvas, { width: COLUMNS * w, height: Math.ceil(count / COLUMNS) * h });
  const context = canvas.getContext("2d"), { data } = context.createImageData(canvas.width, canvas.height);
  const inks = [theme.none, ...colours].map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  for (let i = 0; i < count; i++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const from = ((i * h + y) * w + x) * c, row = Math.floor(i / COLUMNS) * h + y;
        const to = 4 * (row * canvas.width + (i % COLUMNS) * w + x);
        for (let at = 0; at < 3; at++) data[to + at] = c === 3 ? bytes[from + at] : inks[labels[i] + 1][at];
        data[to + 3] = c === 3 ? 255 : bytes[from];
      }
  context.putImageData(new ImageData(data, canvas.width), 0, 0);
  return { canvas, h, w };
}

function drawThumb(context, { canvas, h, w }, i, x, y, side) {
  const zoom = side / Math.max(h, w), [left, top] = [(i % COLUMNS) * w, Math.floor(i / COLUMNS) * h];
  const [width, height] = [w * zoom, h * zoom];
  context.drawImage(canvas, left, top, w, h, x + (side - width) / 2, y + (side - height) / 2, width, height);
}

function drawFoot(context, { scale, sigma, step, tau }, { width, height, image }, { theme, lenses }) {
  const closest = Math.max(...lenses.map((lens) => lens.zoom)), whole = closest === 1;
  const span = whole ? `planes span ±${scale.toFixed(1)}, hollow points lie beyond` : `up to ${closest.toFixed(1)} × closer`;
  const images = sigma ? "images: decoded mean, then σ" : "image: decoded mean";
  const parts = [span, "circles: prior at 1 and 2 deviations", ...(image ? [images] : [])];
  const style = { size: 10.5, colour: theme.muted }, stamp = `step ${step} · τ ${+tau.toFixed(3)}`;
  if (width < SENTENCE)
    return [stamp, ...parts.reverse()].forEach((text, i) => write(context, text, 0, height - 4 - i * LINE, { ...style, width }));
  const taken = write(context, stamp, width, height - 4, { ...style, align: "right" });
  write(context, parts.join(" · "), 0, height - 4, { ...style, width: width - taken - 24 });
}

function drawInvitation(context, { width, height }, status, theme) {
  const [first, second] = status === "ready"
    ? ["Press Train", "Each channel gets a plane here, and each image is a point in it."] : [status, ""];
  const style = { align: "center", width: width - 24 };
  context.strokeStyle = theme.faint;
  context.strokeRect(0.5, 0.5, width - 1, height - 1);
  write(context, first, width / 2, height / 2 - 12, { ...style, size: 16, weight: 600, colour: theme.ink });
  write(context, second, width / 2, height / 2 + 14, { ...style, size: 13, colour: theme.muted });
}
