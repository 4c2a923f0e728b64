// The words and switches around the canvas: status, legend, what colours mean, and the page's theme.

const GOOD = "#12a150", WAITING = "#d99a00", AT_REST = "#8a94a3", FAULT = "#d64545";
const STATUS = {
  ready: AT_REST, training: GOOD, "training the router alone": GOOD, finished: GOOD, paused: WAITING, compiling: WAITING,
  "saved run": AT_REST, "earlier moments of this run": AT_REST,
};
const SYSTEM_DARK = matchMedia("(prefers-color-scheme: dark)");

function make(parent, tag, name, text = "") {
  const node = parent.appendChild(document.createElement(tag));
  return Object.assign(node, { className: name, textContent: text });
}

const same = (a, b) => a.length === b?.length && a.every((part, i) => part === b[i]);

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
  return { keys, dot, status, progress, legend, sigma, low, high, sentence: make(root, "div", "cv-sentence") };
}

function putWords(words, status, frame, { image }, past) {
  put(words.status, status);
  words.dot.style.background = STATUS[status.split(":")[0]] ?? FAULT;
  words.sigma.hidden = !(frame?.sigma && image);
  if (!frame) return;
  const speed = String(Math.round(frame.images_per_second)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  put(words.progress, `epoch ${frame.epoch.toFixed(1)} / ${frame.epochs}${past || speed === "0" ? "" : ` · ${speed} img/s`}`);
  put(words.sentence, frame.sentence);
  put(words.low, `σ ${frame.sigma_range[0]}`);
  put(words.high, `${frame.sigma_range[1]}`);
}

// A legend of labels, whose entries hide and show their points, or a scale: its ends, where words are still to come.
function putLegend(legend, { points: { names, colours, labels }, tint, theme, hidden }, toggle, reveal) {
  const focused = [...legend.children].indexOf(legend.getRootNode().activeElement);
  legend.replaceChildren();
  if (tint.low !== undefined) {
    const [low, bar, high] = ["cv-key", "cv-bar", "cv-key"].map((name) => make(legend, "span", name));
    bar.style.background = `linear-gradient(90deg, ${tint.colours})`;
    if (!hidden.size) return [low, high];
    const shows = Object.assign(make(legend, "button", "cv-button", `show ${hidden.size} hidden`), { type: "button" });
    shows.title = "points of labels that the legend of labels hides";
    shows.addEventListener("click", reveal);
    return [low, high];
  }
  const nameless = labels.includes(-1) ? [["no label", theme.none, -1]] : [];
  for (const [name, colour, label] of [...names.map((name, i) => [name, colours[i], i]), ...nameless]) {
    const key = make(legend, "button", "cv-key");
    Object.assign(key, { type: "button", title: `hide or show ${name}; with Shift, this one alone` });
    key.setAttribute("aria-pressed", String(!hidden.has(label)));
    key.addEventListener("click", (event) => toggle(label, event.shiftKey));
    make(key, "span", "cv-dot").style.background = colour;
    make(key, "span", "", name);
  }
  legend.children[focused]?.focus();
  return [];
}

// What colours mean, dots or images, one scale or one a plane, and how close; they begin as `look` has them.
function makeSwitches(parent, look, chosen, zoom) {
  const box = make(parent, "span", "cv-switches");
  const choice = (label, name, options) => {
    const field = make(box, "label", "cv-key", `${label} `), select = make(field, "select", "");
    for (const option of options) make(select, "option", "", option);
    select.value = look[name];
    select.addEventListener("change", () => chosen(name, select.value));
    return [name, select];
  };
  const selects = Object.fromEntries([
    choice("colour", "by", COLOUR_BY), choice("points", "as", ["dots", "images"]), choice("scale", "scale", ["shared", "own"]),
  ]);
  for (const [sign, factor, words] of [["−", 1 / 1.5, "zoom out"], ["+", 1.5, "zoom in"]]) {
    const button = Object.assign(make(box, "button", "cv-button", sign), { type: "button", title: words });
    button.setAttribute("aria-label", words);
    button.addEventListener("click", () => zoom(factor));
  }
  return selects;
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
