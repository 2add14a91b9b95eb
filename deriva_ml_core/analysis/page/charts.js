// Charts of a report: dots or lines with axes, a legend, and a tip at the pointer, drawn as SVG.
"use strict";
const Charts = (() => {
  const HEIGHT = 340, MARGIN = { top: 26, right: 18, bottom: 46, left: 66 }, NEAR = 40;
  const PALETTE = ["#4269d0", "#c98500", "#d1495b", "#2a9d8f", "#3d8b40", "#b04a9c", "#8a6ddb", "#2b7fb8", "#8d6346", "#7a7f87"];

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const shown = (value) => (isNumber(value) ? String(+value.toPrecision(5)) : String(value));

  function element(name, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // --- scales: a value's place between two pixels, and the values to mark on its axis ---

  function linear(values, from, to) {
    let [low, high] = extent(values);
    if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    const step = roundStep((high - low) / 6);
    low = Math.floor(low / step) * step;
    high = Math.ceil(high / step) * step;
    const count = Math.round((high - low) / step);
    const ticks = Array.from({ length: count + 1 }, (_, at) => +(low + at * step).toPrecision(12));
    return { ticks, place: (value) => from + ((value - low) / (high - low)) * (to - from) };
  }

  function roundStep(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  }

  function log(values, from, to) {
    let [low, high] = extent(values).map(Math.log10);
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const factors = high - low > 3 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power++)
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (Math.log10(tick) >= low - 1e-9 && Math.log10(tick) <= high + 1e-9) ticks.push(+tick.toPrecision(12));
      }
    return { ticks, place: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) };
  }

  function point(values, from, to) {
    const ticks = [...new Set(values)].sort(byValue);
    const step = (to - from) / Math.max(1, ticks.length);
    const places = new Map(ticks.map((value, at) => [value, from + (at + 0.5) * step]));
    return { ticks, place: (value) => places.get(value) };
  }

  const SCALES = { linear, log, point };

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : [0, 1];
  }

  const byValue = (one, two) => (isNumber(one) && isNumber(two) ? one - two : String(one).localeCompare(String(two)));

  /** "point" for words, "log" for positive numbers over nearly two orders of magnitude, else "linear". */
  function kindOf(values) {
    if (values.length === 0 || !values.every(isNumber)) return "point";
    const [low, high] = extent(values);
    return low > 0 && high / low >= 50 ? "log" : "linear";
  }

  // --- colours ---

  /** A colour for each value: one of ten, or a place between blue and yellow where there are more. */
  function colours(values) {
    const distinct = [...new Set(values)].sort(byValue);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const between = (share) => `hsl(${255 - 205 * share} 65% ${dark ? 62 : 44}%)`;
    const of = (at) => (distinct.length <= PALETTE.length ? PALETTE[at] : between(at / (distinct.length - 1)));
    return new Map(distinct.map((value, at) => [value, of(at)]));
  }

  function legend(name, colour) {
    const list = document.createElement("p");
    list.className = "legend";
    list.append(`${name}: `);
    for (const [value, shade] of colour) {
      const swatch = document.createElement("span");
      swatch.style.background = shade;
      const item = document.createElement("span");
      item.append(swatch, shown(value));
      list.append(item);
    }
    return list;
  }

  // --- one chart ---

  /**
   * Draw a chart into `place`.
   * groups: lists of {x, y, by, title}; a line joins each list where `lines`, else every point is a dot.
   * x, y: {label, kind} with a kind of SCALES; by: what colours mean, "" for one colour; about: what it shows, for
   * who can't see it.
   */
  function draw(place, { groups, lines, x, y, by, about, single }) {
    const width = Math.max(300, place.clientWidth), points = groups.flat();
    const across = SCALES[x.kind](points.map((one) => one.x), MARGIN.left, width - MARGIN.right);
    const up = SCALES[y.kind](points.map((one) => one.y), HEIGHT - MARGIN.bottom, MARGIN.top);
    const colour = by ? colours(points.map((one) => one.by)) : new Map();
    const shade = (one) => colour.get(one.by) ?? single;
    const at = (one) => [across.place(one.x), up.place(one.y)];
    const svg = element("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": about });
    svg.append(...axes(across, up, x, y, width), ...(lines ? groups.map((group) => line(group, at, shade)) : points.map((one) => dot(one, at, shade))));
    tip(svg, points, at, width);
    place.replaceChildren(...(colour.size > 1 && colour.size <= 30 ? [legend(by, colour)] : []), svg);
  }

  function axes(across, up, x, y, width) {
    const bottom = HEIGHT - MARGIN.bottom, made = [];
    const room = Math.max(1, Math.ceil((across.ticks.length * 52) / (width - MARGIN.left - MARGIN.right)));
    across.ticks.forEach((tick, number) => {
      const place = across.place(tick);
      made.push(element("line", { class: "grid", x1: place, x2: place, y1: MARGIN.top, y2: bottom }));
      if (number % room === 0) made.push(element("text", { x: place, y: bottom + 18, "text-anchor": "middle" }, cut(shown(tick), 14)));
    });
    for (const tick of up.ticks) {
      const place = up.place(tick);
      made.push(element("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place }));
      made.push(element("text", { x: MARGIN.left - 8, y: place + 4, "text-anchor": "end" }, shown(tick)));
    }
    made.push(element("text", { x: width - MARGIN.right, y: HEIGHT - 8, "text-anchor": "end" }, `${x.label} →`));
    made.push(element("text", { x: 8, y: 14 }, `↑ ${y.label}`));
    return made;
  }

  const cut = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

  function dot(one, at, shade) {
    const [cx, cy] = at(one);
    return element("circle", { class: "dot", cx, cy, r: 4.5, stroke: shade(one), fill: shade(one) });
  }

  function line(group, at, shade) {
    const path = group.map((one, number) => `${number ? "L" : "M"}${at(one).map((place) => place.toFixed(1)).join(",")}`).join("");
    return element("path", { class: "line", d: path, stroke: group.length ? shade(group[0]) : "none" });
  }

  function tip(svg, points, at, width) {
    const mark = element("circle", { class: "mark", r: 6 }), box = element("rect", { rx: 4 }), words = element("text", {});
    const shownTip = element("g", { class: "tip", visibility: "hidden" }, mark, box, words);
    svg.append(shownTip);
    svg.addEventListener("pointerleave", () => shownTip.setAttribute("visibility", "hidden"));
    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect();
      const near = nearest(points, at, event.clientX - frame.left, event.clientY - frame.top);
      shownTip.setAttribute("visibility", near ? "visible" : "hidden");
      if (near) tell(near, at(near), { mark, box, words }, width);
    });
  }

  function nearest(points, at, left, top) {
    let found = null, least = NEAR * NEAR;
    for (const one of points) {
      const [x, y] = at(one), distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < least) [found, least] = [one, distance];
    }
    return found;
  }

  function tell(one, [x, y], { mark, box, words }, width) {
    mark.setAttribute("cx", x);
    mark.setAttribute("cy", y);
    words.replaceChildren(...one.title.split("\n").map((row, number) => element("tspan", { x: 0, dy: number ? 16 : 0 }, row)));
    words.setAttribute("transform", "translate(0,0)");
    const size = words.getBBox();
    const left = Math.min(x + 14, width - size.width - 14), down = y > HEIGHT / 2 ? y - size.height - 14 : y + 14;
    words.setAttribute("transform", `translate(${Math.max(8, left)},${down - size.y})`);
    for (const [name, value] of Object.entries({ x: Math.max(8, left) - 8, y: down - 6, width: size.width + 16, height: size.height + 12 }))
      box.setAttribute(name, value);
  }

  return { draw, kindOf, isNumber, shown };
})();
