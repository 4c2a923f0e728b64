// Messages of frame.py and atlas.py, read: typed arrays beside what the header says. Bytes become shades of a
// pixel by `rgb`, `grey` or `viridis`.

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];

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

function decode(view) {
  const { header, take } = open(view), [k, n] = header.shape;
  const z = new Int16Array(take(4 * k * n).slice().buffer); // a copy: the message may begin at an odd byte
  const opacity = take(k * n), [owner, claim, certainty, error] = [take(n), take(n), take(n), take(n)];
  return { ...header, k, n, z, opacity, owner, claim, certainty, error, ...images(header, take, k) };
}

async function inflate(view) {
  const stream = new Blob([view]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new DataView(await new Response(stream).arrayBuffer());
}

async function decodeAtlas(packed) {
  const { header, take } = open(await inflate(packed)), [k, cells] = header.shape;
  return { ...header, k, cells, ...images(header, take, k * cells * cells) };
}

async function decodeFilm(packed) {
  const view = await inflate(packed), frames = [];
  for (let at = 0, length; at < view.byteLength; at += 4 + length) {
    length = view.getUint32(at, true);
    frames.push(new DataView(view.buffer, at + 4, length));
  }
  return frames;
}

const rgb = (bytes, pixel, colour) => bytes[3 * pixel + colour];
const grey = (bytes, pixel) => bytes[pixel];
const viridis = (bytes, pixel, colour) => VIRIDIS_TABLE[3 * bytes[pixel] + colour];
const VIRIDIS_TABLE = Uint8Array.from({ length: 3 * 256 }, (_, i) => {
  const at = (Math.floor(i / 3) / 255) * (VIRIDIS.length - 1), low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const part = (hex) => parseInt(hex.slice(1 + 2 * (i % 3), 3 + 2 * (i % 3)), 16);
  return Math.round(part(VIRIDIS[low]) * (low + 1 - at) + part(VIRIDIS[low + 1]) * (at - low));
});

// Shades of viridis, `count` of them between two of its parts, as colours of the page.
const shades = (count, [from, to]) => Array.from({ length: count }, (_, i) => {
  const at = 3 * Math.round(255 * (from + ((to - from) * i) / (count - 1)));
  return `rgb(${VIRIDIS_TABLE.slice(at, at + 3).join(" ")})`;
});
