// What lies under the pointer, a latent, a point, the points in a lasso; and what moving it does.

const NEAR = 12; // pixels from the pointer to a point
const STRIDE = 6; // pixels that an arrow key moves the pointer
const LEAP = 24; // pixels that one moves the planes
const CLICK = 4; // pixels of a lasso that is none
const KEYS = "Arrow keys move the pointer, Enter selects the point at it, Escape clears; plus and minus zoom, Alt with arrow keys pans.";

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

// What pointer, wheel and keys do to the planes. Dragging draws a lasso, with Alt or a second finger it pans; a click
// selects a point; Shift adds to what is selected. `look` has the pointer, whether it was `pointed` anew, and the lasso.
function makeGestures(canvas, look, { redraw, add }) {
  const under = (x, y) => look.frame && latentAt(look.frame, look.plan, look.lenses, x, y);
  const leave = () => ((look.pointer = null), redraw());
  const cancel = () => ((look.lasso = null), leave()); // a touch that turned out to scroll the page

  function press(event) {
    if (!event.isPrimary) return void (look.lasso && (look.lasso.pans = true));
    const latent = event.button === 0 && under(event.offsetX, event.offsetY);
    if (!latent) return;
    canvas.setPointerCapture(event.pointerId);
    const path = [point(event.offsetX, event.offsetY)];
    look.lasso = { channel: latent.channel, path, pans: event.altKey, adds: event.shiftKey };
  }

  function point(x, y) {
    look.pointed = true;
    redraw();
    return (look.pointer = [x, y]);
  }

  function move(event) {
    if (!event.isPrimary) return;
    const before = look.pointer, at = point(event.offsetX, event.offsetY);
    if (look.lasso?.pans) pan(at[0] - before[0], at[1] - before[1]);
    else look.lasso?.path.push(at);
  }

  function pan(x, y) {
    const { unit } = toPixels(look.plan.tiles[0], look.plan, look.shared), length = unit * BEYOND;
    look.shared = kept({ ...look.shared, u: look.shared.u - x / length, v: look.shared.v + y / length });
  }

  function release(event) {
    if (!event.isPrimary) return;
    const { lasso, frame, plan } = look;
    look.lasso = null;
    if (!lasso || lasso.pans) return redraw();
    const [[x, y]] = lasso.path, far = lasso.path.some(([a, b]) => Math.hypot(a - x, b - y) > CLICK);
    const hit = far ? null : nearest(frame, plan, look, lasso.channel, x, y);
    const found = far ? lassoed(frame, plan, look, lasso) : hit ? [hit.point] : [];
    add(found, lasso.adds);
  }

  function zoom(factor, channel = 0, at = middle()) {
    look.shared = closer(look.shared, look.plan.tiles[channel], look.plan, factor, ...at);
    redraw();
  }

  function middle() {
    const { tiles: [first], side } = look.plan;
    return [first.x + side / 2, first.y + side / 2];
  }

  function wheel(event) {
    const latent = under(event.offsetX, event.offsetY), factor = 1.0015 ** -event.deltaY, ends = factor > 1 ? FARTHEST : 1;
    if (!latent || factor === 1 || look.shared.zoom === ends) return; // no closer, or no farther: the page scrolls
    event.preventDefault();
    zoom(factor, latent.channel, [event.offsetX, event.offsetY]);
  }

  // As KEYS says; the pointer begins in the middle of the first plane.
  function step(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 }[event.key];
    if (event.ctrlKey || event.metaKey || !look.frame) return;
    if (event.key === "Enter" && look.hover) return add([look.hover.point], event.shiftKey);
    if (!factor && !move) return; // the browser's own keys
    event.preventDefault();
    if (move && event.altKey) return pan(-LEAP * move[0], -LEAP * move[1]), redraw();
    const ends = [look.plan.width, look.plan.height], at = look.pointer ?? middle();
    if (move) return point(...at.map((from, axis) => Math.max(0, Math.min(ends[axis] - 1, from + STRIDE * move[axis]))));
    const latent = under(...at);
    if (latent) zoom(factor, latent.channel, at);
    else zoom(factor);
  }

  return {
    zoom, cancel,
    latent: () => !look.lasso && look.pointer && under(...look.pointer),
    heard: {
      pointerdown: press, pointermove: move, pointerup: release, pointercancel: cancel, blur: cancel, keydown: step, wheel,
      pointerleave: (event) => event.pointerType === "touch" || leave(), // a finger that is lifted leaves the picture there
    },
  };
}
