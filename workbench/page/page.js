// What a page without a kernel does itself: hold widgets as they were, draw charts, be light and open on paper.

const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

// A widget in a shadow of `place`, where its style reaches nothing else; it may change its state, and nobody hears of it.
async function hold(place, { esm, css, state }) {
  const shadow = place.attachShadow({ mode: "open" }), handlers = {};
  shadow.append(Object.assign(document.createElement("style"), { textContent: css }));
  const model = {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      handlers[`change:${name}`]?.();
    },
    save_changes() {},
    on: (event, handler) => (handlers[event] = handler),
    off() {},
  };
  const { default: widget } = await import(esm);
  widget.render({ model, el: shadow.appendChild(document.createElement("div")) });
}

const element = (tag, name, text = "") => Object.assign(document.createElement(tag), { className: name, textContent: text });
const missing = (what, why = "in the notebook alone") => element("p", "missing", `${what}: ${why}`);

// In the place of what a browser cannot draw stands a word.
function orWord(drawing, place, what) {
  return drawing.catch((error) => {
    console.error(error);
    place.replaceWith(missing(what, "this browser cannot draw it"));
  });
}

// The text that is packed in the script of this id.
async function unpack(id) {
  const stream = new Blob([bytes(document.getElementById(id).textContent)]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
}

async function loadVega() {
  const script = document.createElement("script");
  document.head.append(Object.assign(script, { textContent: await unpack("vega") }));
}

// In the page's own colours, light, dark and on paper.
const LINES = { domainColor: "#888", tickColor: "#888", gridColor: "#8886" };
const INK = {
  background: "transparent", axis: LINES, title: { color: "currentColor", subtitleColor: "currentColor" },
  style: { "guide-label": { fill: "currentColor" }, "guide-title": { fill: "currentColor" } },
};

let vega = null;
async function chart(place, spec) {
  await (vega ??= loadVega());
  await vegaEmbed(place, spec, { actions: false, renderer: "svg", config: INK });
}

addEventListener("beforeprint", () => {
  document.documentElement.classList.add("light");
  for (const closed of document.querySelectorAll("details")) closed.open = true;
});
addEventListener("afterprint", () => document.documentElement.classList.remove("light"));
