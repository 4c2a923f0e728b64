// What the colour of a point means: its label, how sure the model is of it, how badly it is rebuilt, or how many
// images its channel holds.

const COLOUR_BY = ["label", "certainty", "error", "usage"];
const SHADES = 16;

// {colours, index: point -> colour or -1, low, high: words for the ends of a scale}.
function tintOf(frame, { labels, colours }, by, theme) {
  if (by === "label") return { colours, index: (i) => labels[i] ?? -1 };
  const { certainty, error, errors, usage, owner } = frame, most = Math.max(...usage, 1e-9);
  const [value, low, high] = {
    certainty: [(i) => certainty[i] / 255, "0", "1"],
    error: errors
      ? [(i) => error[i] / 255, ...errors.map((nats) => `${nats.toFixed(0)} nats`)]
      : [null, "not measured at this moment", ""],
    usage: [(i) => usage[owner[i]] / most, "0 %", `${(100 * most).toFixed(0)} %`],
  }[by];
  return { colours: SCALES.get(theme), index: (i) => (value ? Math.round(value(i) * (SHADES - 1)) : -1), low, high };
}

// Viridis without the end that is as light, or as dark, as the plane: contrast above 2 on it.
const SCALES = new Map([[THEMES.light, shades(SHADES, [0, 0.75])], [THEMES.dark, shades(SHADES, [0.25, 1])]]);

const rising = (values, keep) => Array.from(values.keys()).filter(keep).sort((a, b) => values[a] - values[b]);

// Points by rising certainty, of those to `keep`.
const leastSure = ({ certainty }, keep) => rising(certainty, keep);

// Points that no channel claims by half, the least claimed first.
const unowned = ({ claim }, keep) => rising(claim, (i) => claim[i] < 128 && keep(i));
