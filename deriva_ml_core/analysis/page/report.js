// The charts and the sorting of a report. Without it the page still has every number, in its table.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const runs = data.runs;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const shown = (value) => (value === null || value === undefined ? "–" : isNumber(value) ? +value.toPrecision(5) : String(value));
  const text = (value) => (value === null || value === undefined ? "not recorded" : Array.isArray(value) ? JSON.stringify(value) : value);
  const label = (run) => (run.sequence === null ? run.rid : `job ${run.sequence}, ${run.rid}`);
  const columnOf = (name) => runs.map((run) => text(run.parameters[name]));

  // A page that lies in an object store of ours can lead to its rows; a file on disk can't.
  if (/^\/(hatrac|browse)\//.test(location.pathname)) {
    for (const place of document.querySelectorAll(".rid[data-rid]")) {
      const link = document.createElement("a");
      link.href = `/id/${encodeURIComponent(data.catalog)}/${place.dataset.rid}`;
      link.textContent = place.textContent;
      place.replaceChildren(link);
    }
  }

  function draw(place, options, about) {
    const width = Math.max(300, place.clientWidth);
    const chart = Plot.plot({
      width, height: 340, marginLeft: 60, marginBottom: 45, grid: true,
      style: { background: "transparent", color: style("--text"), fontSize: "12px", "--plot-background": style("--ground") },
      ...options,
    });
    const svg = chart.tagName.toLowerCase() === "svg" ? chart : chart.querySelector("svg:last-of-type");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", about);
    place.replaceChildren(chart);
  }

  function scaleOf(values) {
    const numbers = values.filter(isNumber);
    if (numbers.length < values.length || numbers.length === 0) return "point";
    const low = Math.min(...numbers), high = Math.max(...numbers);
    return low > 0 && high / low >= 50 ? "log" : "linear";
  }

  function drawParameter() {
    const metric = $("metric").value, parameter = $("parameter").value, by = $("parameter-color").value;
    const points = runs
      .filter((run) => isNumber(run.metrics[metric]))
      .map((run) => ({ run, x: text(run.parameters[parameter]), y: run.metrics[metric], by: by ? text(run.parameters[by]) : "" }));
    const kind = scaleOf(points.map((point) => point.x));
    const title = (point) => [label(point.run), `${parameter}: ${shown(point.x)}`, `${metric}: ${shown(point.y)}`, by && `${by}: ${shown(point.by)}`].filter(Boolean).join("\n");
    draw($("by-parameter"), {
      x: { type: kind, label: parameter, ...(kind === "point" ? { padding: 0.5, type: "point" } : { nice: true }) },
      y: { label: metric, nice: true, type: $("parameter-log").checked ? "log" : "linear" },
      color: colors(points.map((point) => point.by), by),
      marks: [
        Plot.dot(points, { x: "x", y: "y", stroke: by ? "by" : style("--link"), fill: by ? "by" : style("--link"), fillOpacity: 0.35, r: 4.5 }),
        Plot.tip(points, Plot.pointer({ x: "x", y: "y", title, fill: style("--ground") })),
      ],
    }, `${metric} of ${points.length} executions against ${parameter}; the values are in the table below.`);
  }

  // The end of viridis that would vanish in the ground is left out.
  const readable = (t) => d3.interpolateViridis(matchMedia("(prefers-color-scheme: dark)").matches ? 0.25 + 0.75 * t : 0.9 * t);

  function colors(values, name) {
    if (!name) return { legend: false };
    const kind = scaleOf(values);
    if (kind !== "point" && new Set(values).size > 6) return { type: kind, interpolate: readable, legend: true, label: name };
    const domain = [...new Set(values)].sort(d3.ascending);
    return { type: "ordinal", domain, range: domain.map((_, at) => (domain.length <= 10 ? d3.schemeTableau10[at] : d3.interpolateTurbo((at + 0.5) / domain.length))), legend: domain.length <= 30, label: name };
  }

  function drawSteps() {
    const metric = $("series").value, by = $("series-color").value;
    const points = [];
    for (const run of runs) {
      const series = run.series[metric];
      if (!series) continue;
      const steps = typeof series.steps === "number" ? data.steps[series.steps] : series.steps;
      const value = by ? text(run.parameters[by]) : label(run);
      series.values.forEach((y, at) => points.push({ run, x: steps[at], y, by: value }));
    }
    const log = $("series-log").checked;
    const kept = log ? points.filter((point) => point.y > 0) : points;
    const title = (point) => [label(point.run), `step ${point.x}`, `${metric}: ${shown(point.y)}`, by && `${by}: ${shown(point.by)}`].filter(Boolean).join("\n");
    draw($("by-step"), {
      x: { label: "step" },
      y: { label: metric, nice: true, type: log ? "log" : "linear" },
      color: { ...colors(kept.map((point) => point.by), by || "execution"), ...(by ? {} : { legend: false }) },
      marks: [
        Plot.line(kept, { x: "x", y: "y", z: (point) => point.run.rid, stroke: "by", strokeWidth: runs.length > 30 ? 1 : 1.6, strokeOpacity: runs.length > 30 ? 0.6 : 1 }),
        Plot.tip(kept, Plot.pointer({ x: "x", y: "y", title, fill: style("--ground") })),
      ],
    }, `${metric} over the steps of ${new Set(kept.map((point) => point.run.rid)).size} executions; final values are in the table below.`);
  }

  function fill(select, names, first) {
    for (const name of names) select.add(new Option(name === "" ? "nothing" : name, name));
    if (first !== undefined) select.value = first;
  }

  function setUp(ids, redraw) {
    for (const id of ids) $(id).addEventListener("change", redraw);
    redraw();
  }

  const drawers = [];
  const varying = data.parameters;
  if ($("by-parameter")) {
    fill($("metric"), data.metrics, data.chosen);
    fill($("parameter"), varying);
    fill($("parameter-color"), ["", ...varying], varying[1] ?? "");
    setUp(["metric", "parameter", "parameter-color", "parameter-log"], drawParameter);
    drawers.push(drawParameter);
  }
  if ($("by-step")) {
    fill($("series"), data.series, data.series.includes(data.chosen) ? data.chosen : undefined);
    fill($("series-color"), ["", ...varying], varying[0] ?? "");
    setUp(["series", "series-color", "series-log"], drawSteps);
    drawers.push(drawSteps);
  }
  let waiting;
  const redrawAll = () => { clearTimeout(waiting); waiting = setTimeout(() => drawers.forEach((redraw) => redraw()), 150); };
  addEventListener("resize", redrawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

  // --- the table ---
  const body = $("runs").tBodies[0], rows = [...body.rows];
  const keyOf = (row, at) => row.cells[at].dataset.key ?? row.cells[at].textContent.trim();
  function sort(head, at) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const compare = (a, b) => (a === "") - (b === "") || (up ? 1 : -1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    rows.sort((one, two) => compare(keyOf(one, at), keyOf(two, at)));
    body.append(...rows);
  }
  [...$("runs").tHead.rows[0].cells].forEach((head, at) => {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => sort(head, at));
  });
  $("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      count += !row.hidden;
    }
    $("count").textContent = `${count} of ${rows.length}`;
  });
  document.documentElement.dataset.ready = "yes";
})();
