// An atlas answers the pointer: `lookUp` blends a latent's picture, `paintProbe` shows it in every channel.

const PROBE = 92, SMALL = 30, ACROSS = 10; // pixels of a decoded image, of one in another channel; images in a row

// What the first `count` channels decode at the latent (u, v), bilinear between cells: images side by side as in `part`.
function lookUp({ cells, scale }, part, count, u, v) {
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
