// What lies under the pointer: a latent, a point, the points in a lasso.

const NEAR = 12; // pixels from the pointer to a point

// The latent under (x, y): {channel, u, v}, or null outside the open planes.
function latentAt({ k_active, scale }, plan, lenses, x, y) {
  const within = (tile) => x >= tile.x && x < tile.x + plan.side && y >= tile.y && y < tile.y + plan.side;
  const channel = plan.tiles.findIndex(within);
  if (channel < 0 || channel >= k_active) return null;
  const to = toPixels(plan.tiles[channel], plan, lenses[channel]), length = scale / (to.unit * BEYOND);
  return { channel, u: (x - to.x) * length, v: (to.y - y) * length };
}

// Where a channel's plane shows the points that can be seen there: {point, x, y}.
function seen({ n, z, opacity }, plan, { lenses, hidden, points }, channel) {
  const tile = plan.tiles[channel], to = toPixels(tile, plan, lenses[channel]), found = [];
  for (let point = 0, at = channel * n; point < n; point++, at++) {
    const [x, y] = [to.x + z[2 * at] * to.unit, to.y - z[2 * at + 1] * to.unit];
    const within = x >= tile.x && x <= tile.x + plan.side && y >= tile.y && y <= tile.y + plan.side;
    if (opacity[at] && within && !hidden.has(points.labels[point] ?? -1)) found.push({ point, x, y });
  }
  return found;
}

// The visible point nearest to (x, y) in the plane under it: {channel, point}, or null.
function nearest(frame, plan, look, channel, x, y) {
  let nearby = null, least = NEAR;
  for (const point of seen(frame, plan, look, channel)) {
    const distance = Math.hypot(point.x - x, point.y - y);
    if (distance < least) [nearby, least] = [{ channel, point: point.point }, distance];
  }
  return nearby;
}

// The visible points that `channel` owns inside a closed path of pixels.
function lassoed(frame, plan, look, { channel, path }) {
  const inside = ({ x, y }) => {
    let crossings = 0;
    path.forEach(([x1, y1], corner) => {
      const [x2, y2] = path[(corner + 1) % path.length];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) crossings++;
    });
    return crossings % 2 === 1;
  };
  return seen(frame, plan, look, channel).filter((at) => frame.owner[at.point] === channel && inside(at)).map(({ point }) => point);
}

function describe({ owner, opacity, claim, certainty, n }, { channel, point }, { labels, names }) {
  const share = (byte) => (byte / 255).toFixed(2), image = `${names[labels[point]] ?? "no label"} · point ${point}`;
  const owned = `channel ${owner[point]} claims ${share(claim[point])} of it · certainty ${share(certainty[point])}`;
  return `${image} · ${owned}\nnoisy weight of channel ${channel} at this τ: ${share(opacity[channel * n + point])}`;
}

const signed = (number) => number.toFixed(2).replace("-", "−");

// Of further dimensions a plane shows the part where they are 0; a single one lies along it, whatever the height.
const whereabouts = ({ channel, u, v }, dimensions = 2) =>
  `channel ${channel} at (${[u, v].slice(0, dimensions).map(signed).join(", ")}${dimensions > 2 ? ", 0, …" : ""})`;
