// Where everything stands on the canvas: `layout` places the tiles, a lens says which part of the latent space a plane
// shows, `toPixels` joins the two.

const BODY = 470; // height the canvas aims for: with curves below it the view of 10 channels fits a screen of 900
const TITLE = 22, FOOT = 28, LINE = 15, IMAGE = 0.28, IMAGE_GAP = 8;
const WORDS = 176, SENTENCE = 700; // pixels that a title, and what stands at the foot, need on one line
const MANY = 40; // channels, beyond which planes are small and have no images
const BEYOND = 32767;
const WHOLE = { zoom: 1, u: 0, v: 0 }; // a lens on the middle of the latent space; u and v in units of `scale`
const CROWD = 0.98, MARGIN = 1.15; // share of a channel's own points that its own lens shows, and room around them
const FARTHEST = 40;

// The columns that give the largest planes in BODY; where those are too small to read, more rows and more height.
function layout(width, k) {
  const images = k <= MANY ? IMAGE : 0, least = images ? 112 : 72, gap = images ? 16 : 10;
  const tile = (columns, height) => {
    const rows = Math.ceil(k / columns);
    return { columns, ...fit((width - (columns - 1) * gap) / columns, (height - (rows - 1) * gap) / rows, images) };
  };
  const fitting = Array.from({ length: k }, (_, i) => tile(i + 1, BODY - FOOT));
  const best = fitting.reduce((a, b) => (b.side > a.side ? b : a));
  if (best.side >= least) return place(best, gap, width, k);
  return place(tile(Math.max(1, Math.min(k, Math.floor((width + gap) / (least + gap)))), Infinity), gap, width, k, true);
}

// The largest plane in a box, with its images below or beside it, whichever leaves it larger.
function fit(width, height, images) {
  const gap = images && IMAGE_GAP;
  const below = Math.min(width, (height - TITLE - gap) / (1 + images));
  const beside = Math.min((width - gap) / (1 + images), height - TITLE);
  const side = Math.floor(Math.max(below, beside));
  return { side, image: Math.floor(side * images), beside: beside > below };
}

// Where the height is free, titles that are wider than their planes' pitch take a second line.
function place({ side, image, beside, columns }, gap, width, k, free = false) {
  const extra = image && image + IMAGE_GAP, rows = Math.ceil(k / columns);
  const across = side + (beside ? extra : 0);
  const pitch = Math.min(1.6 * across, (width - across) / Math.max(1, columns - 1));
  const room = Math.max(across, columns > 1 ? pitch - gap : 0), wraps = free && image > 0 && room < WORDS;
  const title = TITLE + (wraps ? LINE : 0), down = title + side + (beside ? 0 : extra) + gap;
  const foot = FOOT + (width < SENTENCE ? 3 * LINE : 0);
  const tiles = Array.from({ length: k }, (_, i) => ({
    x: Math.round((i % columns) * pitch), y: title + Math.floor(i / columns) * down,
  }));
  const radius = Math.max(1.6, Math.min(2.6, side / 75));
  return { width, height: rows * down - gap + foot, side, image, beside, room, wraps, tiles, radius };
}

// The pixel of the latent 0 and the pixels of an int16 unit, in a plane under a lens.
function toPixels({ x, y }, { side, radius }, { zoom, u, v }) {
  const unit = (zoom * (side / 2 - radius - 1)) / BEYOND;
  return { x: x + side / 2 - u * unit * BEYOND, y: y + side / 2 + v * unit * BEYOND, unit };
}

// The lens that holds nearly all points that a channel owns, and no more than the whole plane.
function lensOf({ n, z, owner }, channel) {
  const own = Array.from({ length: n }, (_, i) => i).filter((i) => owner[i] === channel);
  if (own.length < 3) return WHOLE;
  const range = (axis) => {
    const sorted = own.map((i) => z[2 * (channel * n + i) + axis] / BEYOND).sort((a, b) => a - b);
    const skip = Math.floor(((1 - CROWD) / 2) * sorted.length);
    return [sorted[skip], sorted[sorted.length - 1 - skip]];
  };
  const [[left, right], [low, high]] = [range(0), range(1)];
  const half = Math.min(1, Math.max(1 / FARTHEST, (MARGIN * Math.max(right - left, high - low)) / 2));
  const middle = (from, to) => Math.max(half - 1, Math.min(1 - half, (from + to) / 2));
  return { zoom: 1 / half, u: middle(left, right), v: middle(low, high) };
}

// The lens `factor` times closer that leaves the latent under the pixel (x, y) of a tile where it is.
function closer(lens, tile, plan, factor, x, y) {
  const zoom = Math.max(1, Math.min(FARTHEST, lens.zoom * factor));
  if (zoom === 1) return WHOLE;
  const { x: left, y: top, unit } = toPixels(tile, plan, lens), length = unit * BEYOND;
  const [u, v] = [(x - left) / length, (top - y) / length], part = lens.zoom / zoom;
  return kept({ zoom, u: u + (lens.u - u) * part, v: v + (lens.v - v) * part });
}

// The lens moved back to where it shows nothing beyond the whole plane.
function kept({ zoom, u, v }) {
  const most = 1 - 1 / zoom, [across, up] = [u, v].map((at) => Math.max(-most, Math.min(most, at)));
  return { zoom, u: across, v: up };
}
