// What the colour of a point means: its label, how sure the model is of it, how badly it is rebuilt, or how many
// images its channel holds.

const COLOUR_BY = ["label", "certainty", "error", "usage"];
const SHADES = 16;

// {colours, index: point -> colour or -1, low, high: words for the ends of a scale}.
export function tintOf(frame, { labels, colours }, by) {
  if (by === "label") return { colours, index: (i) => labels[i] ?? -1 };
  const { certainty, error, errors, usage, owner } = frame, most = Math.max(...usage, 1e-9);
  const [value, low, high] = {
    certainty: [(i) => certainty[i] / 255, "0", "1"],
    error: [errors ? (i) => error[i] / 255 : null, ...(errors ?? [0, 0]).map((nats) => `${nats.toFixed(0)} nats`)],
    usage: [(i) => usage[owner[i]] / most, "0 %", `${(100 * most).toFixed(0)} %`],
  }[by];
  return { colours: SHADE_COLOURS, index: (i) => (value ? Math.round(value(i) * (SHADES - 1)) : -1), low, high };
}

const SHADE_COLOURS = shades(SHADES);

const rising = (values, count) => Array.from(values.keys()).sort((a, b) => values[a] - values[b]).slice(0, count);

// Points by rising certainty.
export const leastSure = ({ certainty }, count) => rising(certainty, count);

// Points that no channel claims by half, the least claimed first.
export const unowned = ({ claim }, count) => rising(claim, count).filter((i) => claim[i] < 128);
