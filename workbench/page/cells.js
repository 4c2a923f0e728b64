// The outputs of an exported notebook without its kernel: marimo's elements become plain HTML where they stand.

function show({ cells }, { modelNotifications }) {
  const models = lastStates(modelNotifications), parse = (el, name) => JSON.parse(el.dataset[name] ?? "null");

  const filled = (tag, name, markup) => {
    const node = element(tag, name);
    node.innerHTML = markup; // as marimo puts it on its page; scripts in it do not run
    for (const el of node.querySelectorAll("*")) if (node.contains(el)) tried(el);
    return node;
  };

  // An element that holds something unforeseen takes no other with it.
  function tried(el) {
    try {
      (KINDS[el.localName] ?? other)(el);
    } catch (error) {
      console.error(error);
      el.replaceWith(missing(el.localName));
    }
  }

  function other(el) {
    if (!el.localName.startsWith("marimo-") || el.localName === "marimo-ui-element") return;
    if ("initialValue" in el.dataset) el.replaceWith(field(el));
    else if (!el.childElementCount) el.replaceWith(missing(el.localName.slice(7)));
  }

  // What a slider, a menu or a switch stands at.
  function field(el) {
    const steps = parse(el, "steps") ?? [], value = parse(el, "initialValue");
    const node = filled("div", "field", parse(el, "label") ?? "");
    node.append(element("span", "value", inWords(steps.length ? steps[value] : value)));
    return node;
  }

  function inWords(value) {
    if (Array.isArray(value)) return value.map(inWords).join(", ") || "none";
    if (typeof value === "boolean") return value ? "on" : "off";
    return typeof value === "number" ? String(Number(value.toPrecision(6))) : value || "none";
  }

  function sections(el, labels, open) {
    const parts = [...el.children].map((content, i) => {
      const part = Object.assign(document.createElement("details"), { open });
      part.append(filled("summary", "", labels[i]), content);
      return part;
    });
    el.replaceWith(...parts);
  }

  function table(el) {
    const rows = JSON.parse(parse(el, "data")), node = element("div", "wide"), types = parse(el, "fieldTypes") ?? [];
    const names = types.length ? types.map(([name]) => name) : Object.keys(rows[0] ?? {});
    const made = node.appendChild(element("table", "")), total = parse(el, "totalRows");
    const line = (cell, values) => made.appendChild(element("tr", "")).append(...values.map((v) => element(cell, "", v ?? "")));
    line("th", names);
    for (const row of rows) line("td", names.map((name) => (typeof row[name] === "object" && row[name] ? JSON.stringify(row[name]) : row[name])));
    if (total > rows.length) node.append(missing(`${total - rows.length} more rows`));
    el.replaceWith(filled("div", "field", parse(el, "label") ?? ""), node);
  }

  function drawn(spec) {
    const place = element("div", "chart"), text = typeof spec === "string" ? spec : JSON.stringify(spec);
    if (text.includes("data:application/vnd.apache.arrow")) return missing("a chart of mo.ui.altair_chart");
    orWord(chart(place, JSON.parse(text)), place, "a chart");
    return place;
  }

  function widget(el) {
    const model = models[parse(el, "modelId")], place = element("div", "");
    if (!model) return el.replaceWith(missing("a widget"));
    orWord(hold(place, { ...model, state: { ...model.state } }), place, "a widget");
    el.replaceWith(place);
  }

  function tex(el) {
    const [, open, formula] = el.textContent.match(/^\|\|([([])(.*)\|\|[)\]]$/s) ?? [null, "(", el.textContent];
    const displayMode = open === "[", place = element("span", displayMode ? "display" : "", formula);
    el.replaceWith(place);
    katex ??= loadKatex();
    katex.then(({ render }) => render(formula, place, { displayMode, output: "mathml", throwOnError: false }));
  }

  // Values of a dictionary of elements come as markup.
  function json(value) {
    if (typeof value === "string" && value.startsWith("text/html:")) return filled("div", "", value.slice(10));
    const parts = value && typeof value === "object" ? Object.values(value) : [], node = element("div", "");
    if (!parts.some((part) => typeof part === "string" && part.startsWith("text/html:")))
      return element("pre", "", JSON.stringify(value, null, 1));
    node.append(...parts.map(json));
    return node;
  }

  function output(mime, value) {
    if (mime === "text/html" || mime === "text/markdown") return filled("div", "", value);
    if (mime.startsWith("application/vnd.vega")) return drawn(value);
    if (mime === "application/json") return json(typeof value === "string" ? JSON.parse(value) : value);
    if (mime.startsWith("image/")) return Object.assign(document.createElement("img"), { src: value });
    if (mime === "text/plain") return value ? element("pre", "", value) : "";
    return missing(mime);
  }

  const KINDS = {
    "marimo-accordion": (el) => sections(el, parse(el, "labels"), false),
    "marimo-tabs": (el) => sections(el, parse(el, "tabs"), true),
    "marimo-callout-output": (el) => el.replaceWith(filled("div", `callout ${parse(el, "kind")}`, parse(el, "html"))),
    "marimo-mime-renderer": (el) => el.replaceWith(output(parse(el, "mime"), parse(el, "data"))),
    "marimo-vega": (el) => el.replaceWith(drawn(parse(el, "spec"))),
    "marimo-json-output": (el) => el.replaceWith(json(parse(el, "jsonData"))),
    "marimo-stat": (el) => el.replaceWith(element("div", "field", `${parse(el, "label") ?? ""} ${parse(el, "value")}`)),
    "marimo-table": table,
    "marimo-anywidget": widget,
    "marimo-tex": tex,
    "marimo-dict": (el) => el.replaceWith(...el.children),
    "marimo-array": (el) => el.replaceWith(...el.children),
    "marimo-button": (el) => el.remove(),
    "marimo-refresh": (el) => el.remove(),
  };

  const outputs = cells.flatMap((cell) => cell.outputs).flatMap(({ data }) => Object.entries(data ?? {}));
  document.getElementById("cells").append(...outputs.map((one) => output(...one)).filter(Boolean));
}

let katex = null;
async function loadKatex() {
  const parts = await import(`data:text/javascript,${encodeURIComponent(await unpack("katex"))}`);
  return Object.values(parts).find((one) => one?.render);
}

// Every widget's module, style and state when the page was made, by its model's name.
function lastStates(notifications) {
  const found = {};
  for (const { model_id, message: { state = {}, buffer_paths = [], buffers = [], esm_spec } } of notifications) {
    const model = (found[model_id] ??= { state: {} });
    Object.assign(model.state, state);
    buffer_paths.forEach(([name], i) => (model.state[name] = bytes(buffers[i])));
    if (esm_spec) Object.assign(model, { esm: esm_spec.url, css: model.state._css });
  }
  return found;
}
