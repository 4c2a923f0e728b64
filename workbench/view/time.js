// The past of a run: a slider over the moments that were kept, with a mark where channels were unlocked. Its end is `newest`.

// The moment that is looked at, -1 for now, and the bytes of its frame; those of the present until they are there.
function momentOf(asked, { moments, film, past, now }) {
  const moment = asked in moments ? asked : -1; // the past may have been thinned since
  const bytes = moment < 0 ? null : film[moment] ?? past;
  return { moment, bytes: bytes?.byteLength ? bytes : now };
}

function makeTime(root, go, newest) {
  const box = make(root, "div", "cv-time"), track = make(box, "div", "cv-track"), slider = make(track, "input", "cv-scrub");
  const marks = make(track, "div", "cv-marks"), words = make(box, "span", "cv-told"), back = make(box, "button", "cv-button", newest);
  Object.assign(slider, { type: "range", min: 0, step: 1 });
  Object.assign(back, { type: "button", title: "to the newest moment" });
  slider.setAttribute("aria-label", "moment of the run");
  slider.addEventListener("input", () => go(+slider.value >= +slider.max ? -1 : +slider.value));
  back.addEventListener("click", () => (go(-1), slider.focus())); // the button hides, and the focus with it

  return function show(moments, moment, awaited) {
    box.hidden = moments.length < 2;
    if (box.hidden) return;
    const last = moments.length, at = moment < 0 ? last : moment;
    slider.max = last;
    slider.value = at;
    const { epoch, event } = moments[Math.min(at, last - 1)];
    const said = awaited ? "…" : moment < 0 ? newest : `epoch ${epoch.toFixed(2)}${event ? `, ${event}` : ""}`;
    put(words, said);
    slider.setAttribute("aria-valuetext", said);
    back.style.visibility = moment < 0 ? "hidden" : ""; // its place stays
    const events = moments.flatMap(({ epoch, event }, index) => (event ? [{ epoch, event, index }] : []));
    if (marks.childElementCount !== events.length) marks.replaceChildren();
    events.forEach(({ epoch, event, index }, i) => {
      const mark = marks.children[i] ?? make(marks, "button", "cv-mark");
      Object.assign(mark, { type: "button", title: `epoch ${epoch.toFixed(2)}: ${event}`, onclick: () => go(index) });
      mark.setAttribute("aria-label", mark.title);
      mark.style.left = `${(100 * index) / last}%`;
    });
  };
}
