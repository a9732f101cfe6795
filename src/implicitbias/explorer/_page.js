"use strict";
// The page sends the numbers of its settings through the model "asked", and the program replies through "answer".
(() => {
  const main = document.querySelector("main");
  const form = document.getElementById("settings");
  const status = document.getElementById("status");
  const facts = document.getElementById("facts");
  const fields = [...form.querySelectorAll("input, select")];
  const legends = [...document.querySelectorAll(".legend")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let model, version = 0, waiting = false, lost = false;

  const superscript = (text) => [...text].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻·"["0123456789-.".indexOf(c)]).join("");
  const words = (field) => {
    const digits = (field.step.split(".")[1] || "").replace(/0+$/, "").length;
    const number = Number(field.value).toFixed(digits);
    if (!("powers" in field.dataset)) return number.replace("-", "−");
    const value = 10 ** Number(number);
    const near = Number(number) > -4 && Number(number) < 4;
    return near ? Number(value.toPrecision(3)).toString() : "10" + superscript(String(Number(number)));
  };
  const label = (field) => {
    if (field.type !== "range") return;
    const text = words(field);
    field.previousElementSibling.textContent = text;
    field.setAttribute("aria-valuetext", text);
  };

  // At most one message goes out in each frame of the screen, with the newest settings.
  const send = () => {
    waiting = false;
    if (lost) return;
    version += 1;
    main.dataset.asked = version;
    main.dataset.sent = performance.now();
    facts.classList.add("old");
    model.asked.data = { number: [...fields.map((field) => Number(field.value)), version] };
  };
  const ask = () => {
    fields.forEach(label);
    main.dataset.asked = version + 1;
    if (model && !waiting) { waiting = true; requestAnimationFrame(send); }
  };

  const say = (kind, text) => { status.className = kind; status.textContent = text; };
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const receive = () => {
    const texts = model.answer.data.text;
    if (!texts.length) return;
    const answer = JSON.parse(texts[0]);
    say(answer.kind, answer.text);
    if (answer.kind === "wait") return;
    if (answer.version === version) {
      facts.classList.remove("old");
      main.dataset.milliseconds = performance.now() - Number(main.dataset.sent);
    }
    if (answer.facts) {
      facts.replaceChildren(...answer.facts.map(([name, value]) => {
        const tile = document.createElement("div");
        tile.append(element("dt", name), element("dd", value));
        return tile;
      }));
      answer.legends.forEach((entries, i) => legends[i].replaceChildren(...entries.map(([name, place, look]) => {
        const item = element("li", name.replace(/_(\d+)/, (_, digits) => [...digits].map((c) => "₀₁₂₃₄₅₆₇₈₉"[c]).join("")));
        item.className = look;
        item.style.setProperty("--own", `var(--c${place})`);
        return item;
      })));
    }
    main.dataset.shown = answer.version;
  };

  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const quietly = (target, values) => target.setv(values, { sync: false });
    quietly(model.colours, { palette: [...Array(9).keys()].map((place) => colour(`c${place}`)) });
    for (const figure of model.figures) {
      for (const axis of [...figure.left, ...figure.below]) {
        quietly(axis, {
          axis_label_text_color: colour("soft"), major_label_text_color: colour("soft"), axis_label_text_font_style: "normal",
          axis_line_color: colour("quiet"), major_tick_line_color: colour("quiet"), minor_tick_line_color: null,
          axis_label_text_font_size: "13px", major_label_text_font_size: "12px",
        });
      }
      for (const grid of figure.center) if ("grid_line_color" in grid) quietly(grid, { grid_line_color: colour("line") });
    }
  };

  const begin = (doc) => {
    const find = (name) => doc.get_model_by_name(name);
    model = { colours: find("colours"), asked: find("asked"), answer: find("answer"), figures: doc.roots() };
    theme();
    dark.addEventListener("change", theme);
    model.answer.connect(model.answer.properties.data.change, receive);
    doc.on_event("connection_lost", () => {
      lost = true;
      say("error", "The program has ended. Type implicitbias explore to start it again, and open the address that it prints.");
    });
    form.addEventListener("input", ask);
    ask();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("again").addEventListener("click", () => { form.reset(); ask(); });
  fields.forEach(label);
  const timer = setInterval(() => {
    const doc = window.Bokeh && Bokeh.documents[0];
    if (doc && doc.roots().length && doc.get_model_by_name("answer")) { clearInterval(timer); begin(doc); }
  }, 30);
})();
