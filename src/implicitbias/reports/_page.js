// Draw the figures, give them the colours of the light or the dark style, and connect sliders, legends and tables.
(async () => {
  "use strict";
  const stored = document.getElementById("figures");
  const content = stored ? JSON.parse(stored.textContent) : { roots: [] };
  const places = [...document.querySelectorAll("[data-figure]")];
  const roots = {};
  for (const place of places) roots[content.roots[Number(place.dataset.figure)]] = place;
  let figures = [];
  if (stored) {
    Bokeh.set_log_level("warn");
    const items = [{ docid: "report", roots, root_ids: content.roots }];
    await Bokeh.embed.embed_items({ report: content.document }, items);
    figures = Bokeh.documents.at(-1).roots();
  }

  const colour = (role) => {
    if (role === "null") return null;
    if (role.startsWith("#")) return role;
    return getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();
  };
  const paint = (model) => {
    const values = {};
    for (const tag of model.tags) {
      const [name, role] = String(tag).split("=");
      if (role) values[name] = colour(role);
    }
    if (Object.keys(values).length) model.setv(values);
  };
  const paintAll = () => {
    for (const figure of figures) {
      paint(figure);
      for (const glyph of figure.renderers) {
        if (glyph.glyph) paint(glyph.glyph);
        else paint(glyph);
      }
      for (const part of [...figure.below, ...figure.left, ...figure.center]) paint(part);
      for (const tool of figure.toolbar.tools) if (tool.overlay?.tags) paint(tool.overlay);
    }
  };
  paintAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);
  // A narrow figure has room for few numbers, and none for what its label says in parentheses.
  const labels = new Map();
  const fit = () => {
    for (const figure of figures) {
      for (const axis of figure.below) {
        const narrow = figure.inner_width < 260;
        if (!labels.has(axis)) labels.set(axis, axis.axis_label ?? "");
        axis.axis_label = narrow ? labels.get(axis).split(" (")[0] : labels.get(axis);
        if ("desired_num_ticks" in axis.ticker && !("ticks" in axis.ticker)) axis.ticker.desired_num_ticks = narrow ? 3 : 6;
      }
    }
  };
  fit();
  for (const figure of figures) figure.connect(figure.properties.inner_width.change, fit);
  // A finger on a figure scrolls the page; zooming begins when the reader chooses a tool.
  if (matchMedia("(pointer: coarse)").matches) {
    for (const figure of figures) for (const tool of figure.toolbar.tools) if ("active" in tool) tool.active = false;
  }

  for (const button of document.querySelectorAll(".legend button")) {
    const figure = figures[Number(button.dataset.of)];
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const glyph of figure.renderers) if (glyph.name === button.dataset.name) glyph.visible = shown;
    });
  }

  // A row of a table emphasises the lines with its key.
  const emphasise = (key, on) => {
    for (const figure of figures) {
      for (const glyph of figure.renderers) {
        if (glyph.glyph && glyph.tags.includes(key)) glyph.glyph.line_width = { value: on ? 4 : 1.8 };
      }
    }
  };
  for (const row of document.querySelectorAll("tr[data-key]")) {
    row.addEventListener("pointerenter", () => emphasise(row.dataset.key, true));
    row.addEventListener("pointerleave", () => emphasise(row.dataset.key, false));
  }

  for (const scrubber of document.querySelectorAll(".scrubber")) {
    const { places: points, sentences } = JSON.parse(scrubber.querySelector("script").textContent);
    const slider = scrubber.querySelector("input");
    const told = scrubber.querySelector("output");
    const own = [...scrubber.closest("figure").querySelectorAll("[data-figure]")];
    const cursors = own.flatMap((place) =>
      figures[Number(place.dataset.figure)].center.filter((part) => part.name === "cursor"),
    );
    const move = () => {
      const k = Number(slider.value);
      told.textContent = sentences[k];
      slider.setAttribute("aria-valuetext", sentences[k]);
      for (const cursor of cursors) cursor.location = points[k];
    };
    slider.addEventListener("input", move);
    move();
  }

  const decoded = ({ bits, values }) => {
    const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0)).buffer;
    return bits === 32 ? new Float32Array(bytes) : new Float64Array(bytes);
  };
  for (const sweep of document.querySelectorAll(".sweep")) {
    const { axes, curves, numbers } = JSON.parse(sweep.querySelector("script").textContent);
    const values = new Map(Object.entries(curves).map(([name, curve]) => [name, decoded(curve)]));
    const sliders = [...sweep.querySelectorAll("input")];
    const own = [...sweep.closest("figure").querySelectorAll("[data-figure]")];
    const lines = own.flatMap((place) =>
      figures[Number(place.dataset.figure)].renderers.filter((glyph) => values.has(glyph.name)),
    );
    const move = () => {
      let point = 0;
      sliders.forEach((slider, i) => {
        const text = axes[i].texts[Number(slider.value)];
        slider.setAttribute("aria-valuetext", text);
        slider.parentNode.querySelector("output").textContent = text;
        point = point * axes[i].texts.length + Number(slider.value);
      });
      for (const number of sweep.querySelectorAll("dd")) number.textContent = numbers[number.dataset.name][point];
      for (const line of lines) {
        const { x } = line.data_source.data;
        const y = values.get(line.name).slice(point * x.length, (point + 1) * x.length);
        line.data_source.data = { x, y };
      }
    };
    for (const slider of sliders) slider.addEventListener("input", move);
    move();
  }
  document.documentElement.dataset.drawn = "yes";
})();
