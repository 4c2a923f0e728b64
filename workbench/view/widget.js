// The widget: `render` holds what changes, which is the newest frame and atlas, points, theme, lenses and selection, and
// asks Python for what a browser cannot do.

const EPOCH = 1e-3; // by which a moment's epoch and its frame's differ, rounded
const ANSWER = 100; // milliseconds between two answers to Python: each is a request of its own
const EXPORTED = Boolean(globalThis.__MARIMO_STATIC__); // a notebook's page that nobody answers

function render({ model, el }) {
  const root = make(el, "div", "cv"), words = makeWords(root), stage = make(root, "div", "cv-stage");
  const canvas = make(stage, "canvas", "cv-canvas"), tip = make(stage, "div", "cv-tip");
  const probe = make(tip, "canvas", "cv-probe"), tipWords = make(tip, "div", "cv-told"), spoken = make(root, "div", "cv-spoken");
  const removed = new AbortController(), { signal } = removed;
  const context = canvas.getContext("2d");
  const look = {
    strips: { mean: document.createElement("canvas"), sigma: document.createElement("canvas") },
    by: model.get("colour_by") ?? "label", as: "dots", scale: "shared", shared: WHOLE, hidden: new Set(), selected: [],
    kernel: model.get("kernel") && !EXPORTED, anySheet: () => (sheet ??= thumbs()),
  };
  let frame = null, atlas = null, fresh = true, arrived = true, scheduled = 0, announcing = 0;
  let sheet = null, pixels = null, film = [], painted = 0, answering = 0;
  const latest = {};
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application"); // so that a screen reader leaves it the arrow keys
  canvas.setAttribute("aria-roledescription", "latent planes");
  canvas.setAttribute("aria-description", KEYS);
  spoken.setAttribute("aria-live", "polite");

  const redraw = () => (scheduled ||= requestAnimationFrame(paint));
  const renew = () => ((fresh = true), redraw());
  const arrive = () => ((arrived = true), renew());
  const survey = () => unpack("atlas", decodeAtlas, (read) => (atlas = read));
  const collect = () => unpack("images", inflate, (read) => ([pixels, sheet] = [read, null]));
  const rewind = () => unpack("film", decodeFilm, (read) => ([film, fresh] = [read ?? [], true]));
  const rest = () => canvas.focus({ preventScroll: true });
  const choose = (points) => ((look.selected = points), redraw());
  const tell = (name, value) => (model.set(name, value), model.save_changes());
  const add = (points, adds) => choose(adds ? [...new Set([...look.selected, ...points])] : points);
  const ask = (request) => model.send(request); // a state that is told of twice in a row may arrive once
  const go = (moment) => (tell("moment", moment), redraw());
  const thumbs = () => {
    if (!pixels || !look.theme) return null;
    return makeSheet(look.points, new Uint8Array(pixels.buffer), look.theme);
  };

  async function unpack(name, read, keep) {
    const turn = (latest[name] = (latest[name] ?? 0) + 1), packed = model.get(name);
    const found = packed?.byteLength ? await read(packed) : null;
    if (latest[name] === turn && !signal.aborted) keep(found), redraw();
  }

  const chosen = (name, value) => {
    look[name] = value;
    if (name === "by") tell("colour_by", value);
    if (name === "scale") look.shared = WHOLE;
    redraw();
  };
  const toggle = (label, alone) => {
    const { names, labels } = look.points, every = [...names.keys(), ...(labels.includes(-1) ? [-1] : [])];
    const only = every.filter((other) => other !== label);
    const isOnly = only.every((other) => look.hidden.has(other)) && !look.hidden.has(label);
    const others = [...look.hidden].filter((other) => other !== label);
    hide(alone ? (isOnly ? [] : only) : look.hidden.has(label) ? others : [...others, label]);
  };
  const hide = (labels) => {
    look.hidden = new Set(labels);
    choose(look.selected.filter((i) => !look.hidden.has(look.points.labels[i] ?? -1))); // what is not seen gets no label
  };
  const gestures = makeGestures(canvas, look, { redraw, add }), switches = makeSwitches(words.keys, look, chosen, gestures.zoom);
  const time = makeTime(root, go, look.kernel ? "now" : "newest"), selection = makeSelection(root, look, { choose, ask, rest });

  function paint() {
    scheduled = 0;
    const moments = EXPORTED && !film.length ? [] : model.get("moments") ?? [];
    const { moment, bytes } = momentOf(model.get("moment"), { moments, film, past: model.get("past"), now: model.get("frame") });
    const next = fresh && bytes?.byteLength ? decode(bytes) : frame;
    const awaited = moment >= 0 && Math.abs((next?.epoch ?? 0) - moments[moment].epoch) > EPOCH; // its answer is under way
    if (next !== frame && !awaited) receive(next);
    fresh = false;
    const width = Math.max(160, Math.floor(root.getBoundingClientRect().width)); // clientWidth rounds up
    const plan = (look.plan = layout(width, frame?.k ?? 10));
    const status = model.get("status");
    dress(plan);
    resize(plan);
    putWords(words, status, frame, plan, moment >= 0);
    switches.scale.parentElement.hidden = switches.by.parentElement.hidden = switches.as.parentElement.hidden = !frame;
    const latent = gestures.latent();
    look.hover = latent && nearest(frame, plan, look, latent.channel, ...look.pointer);
    context.clearRect(0, 0, plan.width, plan.height);
    if (frame) draw(context, frame, plan, look);
    else drawInvitation(context, plan, status, look.theme);
    showTip(latent, plan.width);
    selection();
    time(moments, moment, awaited);
    announcing ||= setTimeout(announce, 1000);
    if (frame && arrived && look.kernel) [painted, answering] = [model.get("number"), answering || setTimeout(answer, ANSWER)];
    arrived = false;
  }

  function answer() {
    answering = 0;
    model.send({ painted });
  }

  function receive(next) {
    look.frame = frame = next;
    canvas.dataset.made = frame.ms; // for whoever measures how long a frame takes to the screen
    if (frame.k > MANY) return;
    paintStrip(look.strips.mean, frame.mean, frame.k);
    if (frame.sigma) paintStrip(look.strips.sigma, frame.sigma, frame.k);
  }

  // What `draw` needs beside the frame; sprites, legend and sheet are made anew only where something of them changed.
  function dress({ radius, tiles }) {
    const theme = THEMES[isDark(root) ? "dark" : "light"], points = model.get("points"), given = model.get("given");
    if (look.theme !== theme) for (const [name, colour] of Object.entries(theme)) root.style.setProperty(`--cv-${name}`, colour);
    if (look.theme !== theme || look.points !== points) sheet = null;
    if (look.points !== points) look.selected = look.selected.filter((i) => i < points.labels.length);
    if (look.told !== given) look.given = labelsByPoint(given, points);
    const tint = frame ? tintOf(frame, points, look.by, theme) : { colours: points.colours, index: () => -1 };
    const drawn = [tint.colours, theme, radius, devicePixelRatio], keyed = [tint.low === undefined, points, theme, look.hidden];
    Object.assign(look, { theme, points, told: given, tint, ratio: devicePixelRatio });
    if (!same(drawn, look.drawn)) look.sprites = makeSprites(...drawn);
    if (!same(keyed, look.keyed)) look.ends = putLegend(words.legend, look, toggle, () => (hide([]), switches.by.focus()));
    [tint.low, tint.high].forEach((text, i) => look.ends[i] && put(look.ends[i], text));
    Object.assign(look, { drawn, keyed });
    look.sheet = look.as === "images" ? look.anySheet() : null;
    const own = look.scale === "own" && frame;
    look.lenses = tiles.map((_, channel) => (own ? nested(lensOf(frame, channel), look.shared) : look.shared));
  }

  function resize({ width, height }) {
    const fitted = [width, height, look.ratio];
    if (same(fitted, look.fitted)) return;
    look.fitted = fitted;
    Object.assign(canvas, { width: Math.round(width * look.ratio), height: Math.round(height * look.ratio) });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    context.scale(look.ratio, look.ratio);
  }

  function showTip(latent, width) {
    const known = latent && atlas?.k === frame.k && model.get("moment") < 0;
    const reads = look.pointed; // what moves by training alone is not read aloud
    look.pointed = false;
    tip.hidden = !(known || look.hover);
    if (tip.hidden) return;
    probe.hidden = !known;
    if (known) paintProbe(probe, atlas, latent, frame.k_active, look);
    put(tipWords, [whereabouts(latent, atlas?.dimensions), look.hover && describe(frame, look.hover, look.points)].filter(Boolean).join("\n"));
    if (reads) put(spoken, tipWords.textContent);
    tip.style.left = `${Math.max(0, Math.min(look.pointer[0] + 14, width - tip.offsetWidth))}px`;
    tip.style.top = `${look.pointer[1] + 14}px`;
  }

  function announce() {
    announcing = 0;
    canvas.setAttribute("aria-label", frame?.sentence ?? `No frame yet: ${model.get("status")}`);
  }

  const size = new ResizeObserver(redraw), page = new MutationObserver(redraw);
  const handlers = {
    "change:frame": arrive, "change:past": renew, "change:moment": renew, "change:atlas": survey, "change:points": redraw,
    "change:images": collect, "change:film": rewind, "change:given": redraw, "change:moments": renew,
    "change:status": redraw,
  };
  size.observe(root);
  for (const node of [...ancestors(el), document.documentElement, document.body])
    page.observe(node, { attributeFilter: ["class", "style", "data-jp-theme-light"] });
  SYSTEM_DARK.addEventListener("change", redraw, { signal });
  addEventListener("beforeprint", paint, { signal }); // no frame of an animation comes before the paper
  onRatio(redraw, signal);
  for (const [event, handler] of Object.entries(gestures.heard)) canvas.addEventListener(event, handler, { signal });
  const ours = (event) => {
    if (event.key === "Escape") choose([]), gestures.cancel();
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // else a notebook takes arrows, letters
  };
  root.addEventListener("keydown", ours, { signal });
  for (const [event, handler] of Object.entries(handlers)) model.on(event, handler);
  announce();
  survey();
  collect();
  rewind();

  return () => {
    removed.abort();
    cancelAnimationFrame(scheduled);
    clearTimeout(announcing);
    clearTimeout(answering);
    size.disconnect();
    page.disconnect();
    for (const [event, handler] of Object.entries(handlers)) model.off(event, handler);
  };
}

// Call `changed` whenever the window moves to a screen of other pixels.
function onRatio(changed, signal) {
  const here = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
  here.addEventListener("change", () => (changed(), onRatio(changed, signal)), { once: true, signal });
}

// The label's name of every given point, and all labels in words.
function labelsByPoint({ images, labels, points: places, table, undo, fault }, { names }) {
  const points = new Map(places.flatMap((point, i) => (point < 0 ? [] : [[point, names[labels[i]]]])));
  const count = images.length ? `${images.length} label${images.length > 1 ? "s" : ""} given` : "";
  const words = [count, fault].filter(Boolean).join(" · ");
  return { points, words, table, undo, count: images.length };
}

// A lens seen through another: the part `inner` of what `outer` shows.
const nested = (outer, inner) => ({
  zoom: outer.zoom * inner.zoom, u: outer.u + inner.u / outer.zoom, v: outer.v + inner.v / outer.zoom,
});

export default { render };
