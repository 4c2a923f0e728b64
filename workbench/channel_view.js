// K latent planes on one canvas. `decode` reads a message of channel_view.py, `layout` places the tiles, `draw` paints
// a frame, `lookUp` blends a latent's picture from an atlas: functions of their arguments alone. `render` holds what
// changes: newest frame and atlas, points, theme, pointer.

const BODY = 510; // height the canvas aims for: the view of 10 channels is then about 560 high
const TITLE = 22, FOOT = 28, IMAGE = 0.28, IMAGE_GAP = 8;
const MANY = 40; // channels, beyond which planes are small and have no images
const BEYOND = 32767, FAINTEST = 4, FAINT = 64; // of 255: nothing below 1/64, plain squares below 1/4
const NEAR = 12; // pixels from the pointer to a point
const PROBE = 92, SMALL = 30, ACROSS = 10; // pixels of a decoded image, of one in another channel; images in a row
const STRIDE = 6; // pixels that an arrow key moves the pointer
const TURN = 2 * Math.PI;
const SHACKLE = new Path2D("M -4 -6 v -3 a 4 4 0 0 1 8 0 v 3");
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const THEMES = {
  light: { ink: "#1c2430", muted: "#667085", faint: "#d5dae1", plane: "#ffffff", locked: "#f4f5f7", none: "#98a1ae" },
  dark: { ink: "#e8ebf0", muted: "#98a2b3", faint: "#3a4250", plane: "#14171c", locked: "#1a1e25", none: "#7a8494" },
};
const GOOD = "#12a150", WAITING = "#d99a00", AT_REST = "#8a94a3", FAULT = "#d64545";
const STATUS = {
  ready: AT_REST, training: GOOD, finished: GOOD, paused: WAITING, compiling: WAITING, "saved run": AT_REST,
};
const SYSTEM_DARK = matchMedia("(prefers-color-scheme: dark)");

// ---- message

function open(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  let at = 4 + view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, at)));
  return { header, take: (count) => bytes.subarray(at, (at += count)) };
}

function images({ image: [h, w, c], sigma }, take, count) {
  const mean = { bytes: take(count * h * w * c), h, w, c, shade: c === 3 ? rgb : grey };
  const [sh, sw] = sigma ?? [0, 0];
  return { mean, sigma: sigma && { bytes: take(count * sh * sw), h: sh, w: sw, c: 1, shade: viridis } };
}

export function decode(view) {
  const { header, take } = open(view), [k, n] = header.shape;
  const z = new Int16Array(take(4 * k * n).slice().buffer); // a copy: the message may begin at an odd byte
  const opacity = take(k * n), owner = take(n);
  return { ...header, k, n, z, opacity, owner, ...images(header, take, k) };
}

export function decodeAtlas(view) {
  const { header, take } = open(view), [k, cells] = header.shape;
  return { ...header, k, cells, ...images(header, take, k * cells * cells) };
}

const rgb = (bytes, pixel, colour) => bytes[3 * pixel + colour];
const grey = (bytes, pixel) => bytes[pixel];
const viridis = (bytes, pixel, colour) => VIRIDIS_TABLE[3 * bytes[pixel] + colour];
const VIRIDIS_TABLE = Uint8Array.from({ length: 3 * 256 }, (_, i) => {
  const at = (Math.floor(i / 3) / 255) * (VIRIDIS.length - 1), low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const part = (hex) => parseInt(hex.slice(1 + 2 * (i % 3), 3 + 2 * (i % 3)), 16);
  return Math.round(part(VIRIDIS[low]) * (low + 1 - at) + part(VIRIDIS[low + 1]) * (at - low));
});

// ---- layout

// The columns that give the largest planes in BODY; where those are too small to read, more rows and more height.
export function layout(width, k) {
  const images = k <= MANY ? IMAGE : 0, least = images ? 112 : 72, gap = images ? 16 : 10;
  const tile = (columns, height) => {
    const rows = Math.ceil(k / columns);
    return { columns, ...fit((width - (columns - 1) * gap) / columns, (height - (rows - 1) * gap) / rows, images) };
  };
  const fitting = Array.from({ length: k }, (_, i) => tile(i + 1, BODY - FOOT));
  const best = fitting.reduce((a, b) => (b.side > a.side ? b : a));
  if (best.side >= least) return place(best, gap, width, k);
  return place(tile(Math.max(1, Math.min(k, Math.floor((width + gap) / (least + gap)))), Infinity), gap, width, k);
}

// The largest plane in a box, with its images below or beside it, whichever leaves it larger.
function fit(width, height, images) {
  const gap = images && IMAGE_GAP;
  const below = Math.min(width, (height - TITLE - gap) / (1 + images));
  const beside = Math.min((width - gap) / (1 + images), height - TITLE);
  const side = Math.floor(Math.max(below, beside));
  return { side, image: Math.floor(side * images), beside: beside > below };
}

function place({ side, image, beside, columns }, gap, width, k) {
  const extra = image && image + IMAGE_GAP, rows = Math.ceil(k / columns);
  const across = side + (beside ? extra : 0), down = TITLE + side + (beside ? 0 : extra) + gap;
  const pitch = Math.min(1.6 * across, (width - across) / Math.max(1, columns - 1));
  const tiles = Array.from({ length: k }, (_, i) => ({
    x: Math.round((i % columns) * pitch), y: TITLE + Math.floor(i / columns) * down,
  }));
  const radius = Math.max(1.6, Math.min(2.6, side / 75));
  return { width, height: rows * down - gap + FOOT, side, image, beside, tiles, radius };
}

const toPixels = ({ x, y }, { side, radius }) =>
  ({ x: x + side / 2, y: y + side / 2, unit: (side / 2 - radius - 1) / BEYOND });

// ---- drawing

// look: theme, points {labels, names, colours}, sprites of the classes, strips of images, hover {channel, point}.
export function draw(context, frame, plan, look) {
  plan.tiles.forEach((tile, channel) => {
    drawTitle(context, frame, channel, tile, plan, look.theme);
    if (channel >= frame.k_active) return drawLocked(context, tile, plan, look.theme);
    drawPlane(context, frame.scale, tile, plan, look.theme);
    drawPoints(context, frame, channel, tile, plan, look);
    if (plan.image) drawImages(context, frame, channel, tile, plan, look.strips);
  });
  if (look.hover) drawRing(context, frame, plan, look);
  drawFoot(context, frame, plan, look.theme);
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

function drawTitle(context, { usage, titles, k_active }, channel, { x, y }, { side, image, width }, theme) {
  const locked = channel >= k_active, colour = locked || usage[channel] < 0.01 ? theme.muted : theme.ink;
  const text = locked ? `${channel}` : `${channel} · ${(100 * usage[channel]).toFixed(1)} % ${titles[channel]}`;
  const style = image ? { size: 12.5, weight: 600, width: side } : { size: 10, width: Math.min(side + 8, width - x) };
  write(context, text, x, y - 7, { ...style, colour });
}

function drawFrame(context, { x, y }, side, fill, theme) {
  context.fillStyle = fill;
  context.fillRect(x, y, side, side);
  context.strokeStyle = theme.faint;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
}

// Axes through 0, and the prior N(0, I) at one and at two standard deviations.
function drawPlane(context, scale, tile, plan, theme) {
  const { x, y, unit } = toPixels(tile, plan), half = plan.side / 2;
  drawFrame(context, tile, plan.side, theme.plane, theme);
  context.fillStyle = theme.faint;
  context.fillRect(x - half, Math.floor(y), plan.side, 1);
  context.fillRect(Math.floor(x), y - half, 1, plan.side);
  context.beginPath();
  for (const radius of [1, 2].map((deviations) => (deviations * unit * BEYOND) / scale)) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, TURN);
  }
  context.stroke();
}

function drawPoints(context, { n, z, opacity, owner }, channel, tile, plan, { points, sprites, theme }) {
  const { unit, x, y } = toPixels(tile, plan), square = 1.77 * plan.radius, { cell, size } = sprites;
  for (const own of [false, true]) // a channel's own points lie on top
    for (let i = 0; i < n; i++) {
      const alpha = opacity[channel * n + i];
      if (alpha < FAINTEST || (owner[i] === channel) !== own) continue;
      const at = 2 * (channel * n + i), label = points.labels[i] ?? -1;
      const [left, top] = [x + z[at] * unit, y - z[at + 1] * unit];
      const hollow = Math.abs(z[at]) === BEYOND || Math.abs(z[at + 1]) === BEYOND;
      context.globalAlpha = alpha / 255;
      if (alpha < FAINT && !hollow) { // the many, eight times faster than a sprite
        context.fillStyle = points.colours[label] ?? theme.none;
        context.fillRect(left - square / 2, top - square / 2, square, square);
      } else {
        const [column, row] = [(label + 1) * cell, hollow ? cell : 0];
        context.drawImage(sprites.bitmap, column, row, cell, cell, left - size / 2, top - size / 2, size, size);
      }
    }
  context.globalAlpha = 1;
}

// A dot of every class, "no label" first: a row of full ones, a row of hollow ones.
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

function drawRing(context, { z, n }, plan, { hover: { channel, point }, theme }) {
  const { x, y, unit } = toPixels(plan.tiles[channel], plan), at = 2 * (channel * n + point);
  context.strokeStyle = theme.ink;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x + z[at] * unit, y - z[at + 1] * unit, plan.radius + 3, 0, TURN);
  context.stroke();
}

function drawFoot(context, { scale, sigma, step, ms, tau }, { width, height, image }, theme) {
  const planes = `planes span ±${scale.toFixed(1)}, hollow points lie beyond · circles: prior at 1 and 2 deviations`;
  const images = sigma ? " · images: decoded mean, then σ" : " · image: decoded mean";
  const style = { size: 10.5, colour: theme.muted }, stamp = `step ${step} @${ms} tau=${+tau.toFixed(3)}`;
  const taken = write(context, stamp, width, height - 4, { ...style, align: "right" });
  write(context, image ? planes + images : planes, 0, height - 4, { ...style, width: width - taken - 24 });
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

// ---- atlas

// What the first `count` channels decode at the latent (u, v), bilinear between cells: images side by side as in `part`.
export function lookUp({ cells, scale }, part, count, u, v) {
  const size = part.h * part.w * part.c, last = cells - 1, sums = new Float32Array(count * size);
  const [x, y] = [u, -v].map((at) => Math.max(0, Math.min(last, ((at / scale + 1) / 2) * last)));
  const [left, top] = [x, y].map(Math.floor), [dx, dy] = [x - left, y - top];
  for (const [row, down] of [[top, 1 - dy], [Math.min(top + 1, last), dy]])
    for (const [column, right] of [[left, 1 - dx], [Math.min(left + 1, last), dx]])
      for (let channel = 0; channel < count && down * right > 0; channel++) {
        const from = ((channel * cells + row) * cells + column) * size, to = channel * size;
        for (let i = 0; i < size; i++) sums[to + i] += down * right * part.bytes[from + i];
      }
  return { ...part, bytes: Uint8ClampedArray.from(sums) };
}

// The latent's image in its channel, its sigma, and in rows below them what the other channels make of it.
function paintProbe(canvas, atlas, { channel, u, v }, count, { theme, ratio }) {
  const parts = [atlas.mean, ...(atlas.sigma ? [atlas.sigma] : [])].map((part) => {
    const strip = document.createElement("canvas");
    paintStrip(strip, lookUp(atlas, part, count, u, v), count);
    return { strip, w: part.w, h: part.h };
  });
  const rows = count > 1 && count <= MANY ? Math.ceil(count / ACROSS) : 0;
  const width = Math.max(parts.length * (PROBE + IMAGE_GAP) - IMAGE_GAP, rows && Math.min(count, ACROSS) * SMALL);
  const height = PROBE + (rows && IMAGE_GAP + rows * SMALL), context = canvas.getContext("2d");
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.scale(ratio, ratio);
  const cut = ({ strip, w, h }, index, x, y, side) =>
    context.drawImage(strip, index * (w + 2) + 1, 1, w, h, x, y, (side * w) / Math.max(h, w), (side * h) / Math.max(h, w));
  parts.forEach((part, i) => cut(part, channel, i * (PROBE + IMAGE_GAP), 0, PROBE));
  for (let i = 0; i < (rows && count); i++) {
    const x = (i % ACROSS) * SMALL, y = PROBE + IMAGE_GAP + Math.floor(i / ACROSS) * SMALL;
    cut(parts[0], i, x + 1, y + 1, SMALL - 2);
    if (i !== channel) continue;
    context.strokeStyle = theme.plane;
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, SMALL - 2, SMALL - 2);
  }
}

// ---- hover

// The latent under (x, y): {channel, u, v}, or null outside the open planes.
export function latentAt({ k_active, scale }, plan, x, y) {
  const within = (tile) => x >= tile.x && x < tile.x + plan.side && y >= tile.y && y < tile.y + plan.side;
  const channel = plan.tiles.findIndex(within);
  if (channel < 0 || channel >= k_active) return null;
  const to = toPixels(plan.tiles[channel], plan), length = scale / (to.unit * BEYOND);
  return { channel, u: (x - to.x) * length, v: (to.y - y) * length };
}

// The drawn point nearest to (x, y) in the plane under it: {channel, point}, or null.
export function nearest({ n, z, opacity }, plan, channel, x, y) {
  const to = toPixels(plan.tiles[channel], plan);
  let point = -1, least = NEAR;
  for (let i = 0, at = channel * n; i < n; i++, at++) {
    const distance = Math.hypot(to.x + z[2 * at] * to.unit - x, to.y - z[2 * at + 1] * to.unit - y);
    if (opacity[at] >= FAINTEST && distance < least) [point, least] = [i, distance];
  }
  return point < 0 ? null : { channel, point };
}

function describe({ owner, opacity, n }, { channel, point }, { labels, names }) {
  const responsibility = (opacity[channel * n + point] / 255).toFixed(2);
  const image = `${names[labels[point]] ?? "no label"} · image ${point} · routed to channel ${owner[point]}`;
  return `${image}\nresponsibility of channel ${channel}: ${responsibility}`;
}

const signed = (number) => number.toFixed(2).replace("-", "−");
const whereabouts = ({ channel, u, v }) => `channel ${channel} at (${signed(u)}, ${signed(v)})`;

// ---- the words around the canvas

function make(parent, tag, name, text = "") {
  const node = parent.appendChild(document.createElement(tag));
  return Object.assign(node, { className: name, textContent: text });
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function makeWords(root) {
  const head = make(root, "div", "cv-head"), line = make(head, "div", "cv-line"), keys = make(head, "div", "cv-keys");
  const [dot, status, progress] = ["dot", "status", "progress"].map((name) => make(line, "span", `cv-${name}`));
  status.setAttribute("role", "status");
  const legend = make(keys, "span", "cv-legend"), sigma = make(keys, "span", "cv-key");
  const [low, bar, high] = ["low", "bar", "high"].map((name) => make(sigma, "span", `cv-${name}`));
  bar.style.background = `linear-gradient(90deg, ${VIRIDIS})`;
  return { dot, status, progress, legend, sigma, low, high, sentence: make(root, "div", "cv-sentence") };
}

function putWords(words, status, frame, { image }) {
  put(words.status, status);
  words.dot.style.background = STATUS[status.split(":")[0]] ?? FAULT;
  words.sigma.hidden = !(frame?.sigma && image);
  if (!frame) return;
  const speed = String(Math.round(frame.images_per_second)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  put(words.progress, `epoch ${frame.epoch.toFixed(1)} / ${frame.epochs}${speed === "0" ? "" : ` · ${speed} img/s`}`);
  put(words.sentence, frame.sentence);
  put(words.low, `σ ${frame.sigma_range[0]}`);
  put(words.high, `${frame.sigma_range[1]}`);
}

function putLegend(legend, { names, colours, labels }, theme) {
  legend.replaceChildren();
  const nameless = labels.includes(-1) ? [["no label", theme.none]] : [];
  for (const [name, colour] of [...names.map((name, i) => [name, colours[i]]), ...nameless]) {
    const key = make(legend, "span", "cv-key");
    make(key, "span", "cv-dot").style.background = colour;
    make(key, "span", "", name);
  }
}

function* ancestors(node) {
  for (let at = node; at; at = at.parentNode ?? at.host) yield at; // a shadow root has a host for a parent
}

// As the nearest ancestor says; else the page's colour scheme, else the system's.
function isDark(node) {
  for (const at of ancestors(node)) {
    if (at.dataset?.jpThemeLight) return at.dataset.jpThemeLight === "false";
    if (at.classList?.contains("dark")) return true;
    if (at.classList?.contains("light")) return false;
  }
  const scheme = getComputedStyle(node).colorScheme;
  return scheme === "dark" || (scheme !== "light" && SYSTEM_DARK.matches);
}

// ---- the widget

function render({ model, el }) {
  const root = make(el, "div", "cv"), words = makeWords(root), stage = make(root, "div", "cv-stage");
  const canvas = make(stage, "canvas", "cv-canvas"), tip = make(stage, "div", "cv-tip");
  const probe = make(tip, "canvas", "cv-probe"), told = make(tip, "div", "cv-told");
  const context = canvas.getContext("2d");
  const look = { strips: { mean: document.createElement("canvas"), sigma: document.createElement("canvas") } };
  let frame = null, atlas = null, fresh = true, pointer = null, scheduled = 0, announcing = 0;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  told.setAttribute("aria-live", "polite");

  const redraw = () => (scheduled ||= requestAnimationFrame(paint));
  const renew = () => ((fresh = true), redraw());
  const point = (event) => ((pointer = [event.offsetX, event.offsetY]), redraw());
  const leave = () => ((pointer = null), redraw());
  const survey = () => ((atlas = model.get("atlas")?.byteLength ? decodeAtlas(model.get("atlas")) : null), redraw());

  function paint() {
    scheduled = 0;
    if (fresh && model.get("frame")?.byteLength) receive(decode(model.get("frame")));
    fresh = false;
    const plan = layout(Math.max(160, Math.floor(root.clientWidth)), frame?.k ?? 10), status = model.get("status");
    dress(plan.radius);
    resize(plan);
    putWords(words, status, frame, plan);
    const latent = frame && pointer && latentAt(frame, plan, ...pointer);
    look.hover = latent && nearest(frame, plan, latent.channel, ...pointer);
    context.clearRect(0, 0, plan.width, plan.height);
    if (frame) draw(context, frame, plan, look);
    else drawInvitation(context, plan, status, look.theme);
    showTip(latent, plan.width);
    announcing ||= setTimeout(announce, 1000);
  }

  function receive(next) {
    frame = next;
    if (frame.k > MANY) return;
    paintStrip(look.strips.mean, frame.mean, frame.k);
    if (frame.sigma) paintStrip(look.strips.sigma, frame.sigma, frame.k);
  }

  function dress(radius) {
    const theme = THEMES[isDark(root) ? "dark" : "light"];
    const next = { theme, points: model.get("points"), radius, ratio: devicePixelRatio };
    if (Object.keys(next).every((name) => look[name] === next[name])) return;
    Object.assign(look, next, { sprites: makeSprites(next.points.colours, theme, radius, next.ratio) });
    for (const [name, colour] of Object.entries(theme)) root.style.setProperty(`--cv-${name}`, colour);
    putLegend(words.legend, look.points, theme);
  }

  function resize({ width, height }) {
    const [w, h] = [width, height].map((length) => Math.round(length * look.ratio));
    if (canvas.width === w && canvas.height === h) return;
    Object.assign(canvas, { width: w, height: h });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    context.scale(look.ratio, look.ratio);
  }

  function showTip(latent, width) {
    const known = latent && atlas?.k === frame.k;
    tip.hidden = !(known || look.hover);
    if (tip.hidden) return;
    probe.hidden = !known;
    if (known) paintProbe(probe, atlas, latent, frame.k_active, look);
    put(told, [whereabouts(latent), look.hover && describe(frame, look.hover, look.points)].filter(Boolean).join("\n"));
    tip.style.left = `${Math.max(0, Math.min(pointer[0] + 14, width - tip.offsetWidth))}px`;
    tip.style.top = `${pointer[1] + 14}px`;
  }

  // Arrow keys move the pointer, from the middle of the first plane at first; Escape puts it away.
  function step(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") return leave();
    if (!moves[event.key] || !frame) return;
    event.preventDefault();
    const plan = layout(Math.max(160, Math.floor(root.clientWidth)), frame.k), [first] = plan.tiles;
    pointer ??= [first.x + plan.side / 2, first.y + plan.side / 2];
    pointer = pointer.map((at, axis) => at + STRIDE * moves[event.key][axis]);
    redraw();
  }

  function announce() {
    announcing = 0;
    canvas.setAttribute("aria-label", frame?.sentence ?? `No frame yet: ${model.get("status")}`);
  }

  const size = new ResizeObserver(redraw), page = new MutationObserver(redraw);
  const handlers = {
    "change:frame": renew, "change:atlas": survey, "change:points": redraw, "change:status": redraw,
  };
  size.observe(root);
  for (const node of [...ancestors(el), document.documentElement, document.body])
    page.observe(node, { attributeFilter: ["class", "style", "data-jp-theme-light"] });
  SYSTEM_DARK.addEventListener("change", redraw);
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("keydown", step);
  for (const [event, handler] of Object.entries(handlers)) model.on(event, handler);
  announce();
  survey();

  return () => {
    cancelAnimationFrame(scheduled);
    clearTimeout(announcing);
    size.disconnect();
    page.disconnect();
    SYSTEM_DARK.removeEventListener("change", redraw);
    for (const [event, handler] of Object.entries(handlers)) model.off(event, handler);
  };
}

export default { render };
