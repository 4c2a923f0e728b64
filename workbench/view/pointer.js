// What lies under the pointer: a latent, a point, the points in a lasso.

const NEAR = 12; // pixels from the pointer to a point

// The latent under (x, y): {channel, u, v}, or null outside the open planes.
export function latentAt({ k_active, scale }, plan, lenses, x, y) {
  const within = (tile) => x >= tile.x && x < tile.x + plan.side && y >= tile.y && y < tile.y + plan.side;
  const channel = plan.tiles.findIndex(within);
  if (channel < 0 || channel >= k_active) return null;
  const to = toPixels(plan.tiles[channel], plan, lenses[channel]), length = scale / (to.unit * BEYOND);
  return { channel, u: (x - to.x) * length, v: (to.y - y) * length };
}

// The drawn point nearest to (x, y) in the plane under it: {channel, point}, or null.
export function nearest({ n, z, opacity }, plan, { lenses, hidden, points }, channel, x, y) {
  const to = toPixels(plan.tiles[channel], plan, lenses[channel]);
  let point = -1, least = NEAR;
  for (let i = 0, at = channel * n; i < n; i++, at++) {
    const distance = Math.hypot(to.x + z[2 * at] * to.unit - x, to.y - z[2 * at + 1] * to.unit - y);
    if (opacity[at] && distance < least && !hidden.has(points.labels[i] ?? -1)) [point, least] = [i, distance];
  }
  return point < 0 ? null : { channel, point };
}

// The points that `channel` owns inside a closed path of pixels.
export function lassoed({ n, z, owner }, plan, { lenses, hidden, points }, { channel, path }) {
  const to = toPixels(plan.tiles[channel], plan, lenses[channel]);
  const inside = (i) => {
    const at = 2 * (channel * n + i), [x, y] = [to.x + z[at] * to.unit, to.y - z[at + 1] * to.unit];
    let crossings = 0;
    path.forEach(([x1, y1], corner) => {
      const [x2, y2] = path[(corner + 1) % path.length];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) crossings++;
    });
    return crossings % 2 === 1;
  };
  const all = Array.from({ length: n }, (_, i) => i);
  return all.filter((i) => owner[i] === channel && !hidden.has(points.labels[i] ?? -1) && inside(i));
}

function describe({ owner, opacity, certainty, n }, { channel, point }, { labels, names }) {
  const responsibility = (opacity[channel * n + point] / 255).toFixed(2), sure = (certainty[point] / 255).toFixed(2);
  const image = `${names[labels[point]] ?? "no label"} · point ${point} · routed to channel ${owner[point]}`;
  return `${image}\nresponsibility of channel ${channel}: ${responsibility} · certainty ${sure}`;
}

const signed = (number) => number.toFixed(2).replace("-", "−");
const whereabouts = ({ channel, u, v }) => `channel ${channel} at (${signed(u)}, ${signed(v)})`;
