// The selected points as images, and what can be done with them: give them a label, take it back, keep all labels in a
// file. What is decided here goes to Python as a message.

const MOST = 60, SIDE = 30; // images shown of a selection, and their pixels
const SUGGESTED = 24;

function makeSelection(root, look, { choose, ask, rest }) {
  const box = make(root, "div", "cv-selection"), tools = make(box, "div", "cv-tools");
  const words = make(tools, "span", "cv-told cv-chosen"), names = make(box, "div", "cv-tools cv-names");
  const images = make(box, "canvas", "cv-images"), file = make(box, "input", "");
  const button = (parent, text, does, hint = "") => {
    const made = Object.assign(make(parent, "button", "cv-button", text), { type: "button", title: hint });
    made.addEventListener("click", does);
    return made;
  };
  Object.assign(file, { type: "file", accept: ".csv", hidden: true });
  images.setAttribute("role", "img");
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (chosen) ask({ do: "import", text: await chosen.text() });
    file.value = "";
  });
  words.setAttribute("aria-live", "polite");
  make(tools, "span", "cv-told", "select");
  const always = [
    ["least sure", () => suggest(leastSure, "no image is left"), "the images without a given label that the model is least certain of"],
    ["unowned", () => suggest(unowned, "some channel claims every image by half"), "those that no channel claims by half"],
  ].map((entry) => button(tools, ...entry));
  const suggest = (by, none) => {
    const open = (i) => !look.given.points.has(i) && !look.hidden.has(look.points.labels[i] ?? -1);
    const found = by(look.frame, open).slice(0, SUGGESTED);
    excuse = found.length ? null : { for: look.selected, text: none };
    choose(found.length ? found : look.selected);
  };
  const clear = button(tools, "clear", () => choose([]), "select nothing (Escape)");
  const labels = make(tools, "span", "cv-told cv-apart", "labels");
  const live = [
    ["ask", () => ask({ do: "ask" }), "one label a channel: the data set gives that of the image the channel is surest of"],
    ["undo", () => ask({ do: "undo" }), "take the last change of labels back"],
    ["forget", () => ask({ do: "forget" }), "take all given labels back"],
    ["export", () => download(look.given.table), "all given labels, as a CSV file"],
    ["import", () => file.click(), "labels from such a file"],
  ].map((entry) => button(tools, ...entry));
  let built = null, painted = [], excuse = null; // what a suggestion that found nothing says, until something is selected

  function show() {
    const { points, selected, given, theme, frame, kernel } = look, focused = root.getRootNode().activeElement;
    for (const each of [labels, ...live]) each.hidden = !kernel;
    const [, undo, forget, keep] = live;
    undo.disabled = !given.undo;
    forget.disabled = keep.disabled = !given.count;
    for (const each of always) each.disabled = !frame;
    names.hidden = !selected.length || !kernel;
    images.hidden = clear.hidden = !selected.length;
    if (built !== points) nameButtons();
    put(words, excuse?.for === selected ? excuse.text : told(selected, given, points));
    if (selected.length) paint(points, selected, given, theme);
    if (box.contains(focused) && focused.closest("[hidden], :disabled")) rest(); // else the page has the focus
  }

  function nameButtons() {
    built = look.points;
    names.replaceChildren();
    if (!look.points.names.length) return make(names, "span", "cv-told", "this data set has no class names");
    make(names, "span", "cv-told", "label as");
    look.points.names.forEach((name, label) => {
      const made = button(names, name, () => ask({ do: "label", points: look.selected, label }), `these images are ${name}`);
      made.style.borderColor = look.points.colours[label];
    });
    button(names, "no label", () => ask({ do: "label", points: look.selected, label: -1 }), "take their labels back");
  }

  function paint(points, selected, given, theme) {
    const across = Math.max(1, Math.floor(root.clientWidth / SIDE)), sheet = look.anySheet();
    const now = [selected, given, theme, sheet, across, look.ratio];
    if (same(now, painted)) return;
    painted = now;
    const shown = selected.slice(0, MOST);
    const rows = Math.ceil(shown.length / across), context = images.getContext("2d");
    const [width, height] = [Math.min(across, shown.length) * SIDE, rows * (SIDE + 12)];
    Object.assign(images, { width: Math.round(width * look.ratio), height: Math.round(height * look.ratio) });
    Object.assign(images.style, { width: `${width}px`, height: `${height}px` });
    context.scale(look.ratio, look.ratio);
    shown.forEach((point, at) => {
      const x = (at % across) * SIDE, y = Math.floor(at / across) * (SIDE + 12);
      if (sheet) drawThumb(context, sheet, point, x + 1, y + 1, SIDE - 2);
      const style = { size: 9, colour: theme.muted, align: "center", width: SIDE };
      write(context, given.points.get(point) ?? "", x + SIDE / 2, y + SIDE + 8, style);
    });
    const of = selected.length > shown.length ? `${shown.length} of ${selected.length}` : shown.length;
    images.setAttribute("aria-label", `${of} selected images`);
  }

  return show;
}

function told(selected, given, { labels, names }) {
  const counts = new Map();
  for (const i of selected) counts.set(labels[i] ?? -1, (counts.get(labels[i] ?? -1) ?? 0) + 1);
  const parts = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 4).map(([label, count]) => `${count} × ${names[label] ?? "no label"}`);
  const chosen = selected.length
    ? `${selected.length} selected: ${parts.join(", ")}${counts.size > 4 ? ", …" : ""}`
    : "Drag around points to select them, or click one";
  return given.words ? `${chosen} · ${given.words}` : chosen;
}

function download(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // some browsers read it after the click
}
