// Show a tip with the values at the pointer, and mark the same time in every drawing. The page is complete without scripts.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("path-data").textContent);
  const rules = document.querySelectorAll(".rule");
  const lines = new Map(data.lines.map((line) => [String(line.i), line]));
  const drawing = document.querySelector('[data-kind="coefficients"] svg');

  // Remove the titles of lines, which serve browsers without scripts, so that only one tip is visible.
  document.querySelectorAll("svg title").forEach((title) => title.remove());

  const number = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

  const last = (sorted, value) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  const timeAt = (share) => {
    const { low, high, log } = data.axis;
    return log ? low * Math.pow(high / low, share) : low + share * (high - low);
  };

  const coefficient = (line, row) => {
    const place = last(line.rows, row);
    if (place < 0) return null;
    return { value: line.values[place], original: line.original ? line.original[place] : null };
  };

  const emphasise = (feature) => {
    if (!drawing) return;
    drawing.querySelectorAll(".on").forEach((path) => path.classList.remove("on"));
    const path = feature === null ? null : drawing.querySelector(`path[data-i="${feature}"]`);
    drawing.classList.toggle("dim", path !== null);
    if (path) {
      path.classList.add("on");
      path.parentNode.insertBefore(path, drawing.querySelector(".chosen"));
    }
  };

  const nearest = (figure, row, y, height) => {
    const low = Number(figure.dataset.low);
    const high = Number(figure.dataset.high);
    let best = null;
    let distance = 28;
    for (const line of data.lines) {
      const now = coefficient(line, row);
      if (!now || now.value === 0) continue;
      const apart = Math.abs((height * (high - now.value)) / (high - low) - y);
      if (apart < distance) [best, distance] = [{ line, ...now }, apart];
    }
    return best;
  };

  const told = (figure, t, y, height) => {
    const row = Math.max(last(data.times, t), 0);
    const end = row + 1 < data.times.length ? `–${number(data.times[row + 1])}` : " on";
    const rest = [`slow time ${number(t)}: after jump ${row} (${number(data.times[row])}${end})`];
    let title = "";
    let feature = null;
    if (figure.dataset.kind === "coefficients") {
      const found = nearest(figure, row, y, height);
      if (found) {
        feature = found.line.i;
        title = found.line.name;
        if (found.original !== null) rest.unshift(`${number(found.value)} per standard deviation`);
        rest.unshift(`coefficient ${number(found.original ?? found.value)}`);
      }
    } else if (figure.dataset.kind === "validation") {
      const place = Math.max(last(data.validation.times, t), 0);
      title = `held-out error ${number(data.validation.mean[place])}`;
      const error = data.validation.error;
      if (error) rest.unshift(`± ${number(error[place])}, one standard error over the folds`);
    }
    if (!title) title = `R² ${number(data.r2[row])}, ${data.active[row]} active`;
    return { title, rest, feature };
  };

  for (const figure of document.querySelectorAll(".chart")) {
    const plot = figure.querySelector(".plot");
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.append(tip);
    const show = (event) => {
      const box = plot.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      const y = event.clientY - box.top;
      const { title, rest, feature } = told(figure, timeAt(share), y, box.height);
      const head = document.createElement("b");
      head.textContent = title;
      tip.replaceChildren(head, ...rest.flatMap((text) => [document.createTextNode(text), document.createElement("br")]));
      tip.hidden = false;
      const side = share < 0.5 ? share * box.width + 14 : share * box.width - 14 - tip.offsetWidth;
      tip.style.left = `${Math.min(Math.max(side, -40), box.width - tip.offsetWidth)}px`;
      // On a narrow page a tip beside the pointer would cover the line, so it is placed above or below the pointer.
      const beside = Math.min(Math.max(y - 30, 0), Math.max(box.height - tip.offsetHeight, 0));
      const apart = y > box.height / 2 ? y - tip.offsetHeight - 16 : y + 16;
      tip.style.top = `${box.width < 560 ? apart : beside}px`;
      for (const rule of rules) {
        rule.style.left = `${100 * share}%`;
        rule.style.display = "block";
      }
      emphasise(feature);
    };
    const hide = () => {
      tip.hidden = true;
      for (const rule of rules) rule.style.display = "none";
      emphasise(null);
    };
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("pointercancel", hide);
  }

  for (const place of document.querySelectorAll("tr[data-i], .names li[data-i]")) {
    if (!lines.has(place.dataset.i)) continue;
    place.addEventListener("pointerenter", () => emphasise(place.dataset.i));
    place.addEventListener("pointerleave", () => emphasise(null));
  }
})();
