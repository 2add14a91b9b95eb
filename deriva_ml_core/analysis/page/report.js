// The charts and the sorting of a report. Without it the page still has every number, in its table.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const runs = data.runs;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const { isNumber, shown } = Charts;
  const text = (value) => (value === null || value === undefined ? "not recorded" : Array.isArray(value) ? JSON.stringify(value) : value);
  const label = (run) => (run.sequence === null ? run.rid : `job ${run.sequence}, ${run.rid}`);

  // A page that lies in an object store of ours can lead to its rows; a file on disk can't.
  if (/^\/(hatrac|browse)\//.test(location.pathname)) {
    for (const place of document.querySelectorAll(".rid[data-rid]")) {
      const link = document.createElement("a");
      link.href = `/id/${encodeURIComponent(data.catalog)}/${place.dataset.rid}`;
      link.textContent = place.textContent;
      place.replaceChildren(link);
    }
  }

  const titled = (...rows) => rows.filter(Boolean).join("\n");

  function drawParameter() {
    const metric = $("metric").value, parameter = $("parameter").value, by = $("parameter-color").value;
    const points = runs.filter((run) => isNumber(run.metrics[metric])).map((run) => {
      const x = text(run.parameters[parameter]), y = run.metrics[metric], shade = by ? text(run.parameters[by]) : "";
      return { x, y, by: shade, title: titled(label(run), `${parameter}: ${shown(x)}`, `${metric}: ${shown(y)}`, by && `${by}: ${shown(shade)}`) };
    });
    const log = $("parameter-log").checked;
    const kept = log ? points.filter((point) => point.y > 0) : points;
    Charts.draw($("by-parameter"), {
      groups: [kept], lines: false, by, single: style("--link"),
      x: { label: parameter, kind: Charts.kindOf(kept.map((point) => point.x)) },
      y: { label: metric, kind: log ? "log" : "linear" },
      about: `${metric} of ${kept.length} executions against ${parameter}; the values are in the table below.`,
    });
  }

  function drawSteps() {
    const metric = $("series").value, by = $("series-color").value, log = $("series-log").checked;
    const groups = runs.filter((run) => run.series[metric]).map((run) => {
      const { steps: kept, values } = run.series[metric];
      const steps = typeof kept === "number" ? data.steps[kept] : kept;
      const shade = by ? text(run.parameters[by]) : label(run);
      return values
        .map((y, at) => ({ x: steps[at], y, by: shade, title: titled(label(run), `step ${steps[at]}`, `${metric}: ${shown(y)}`, by && `${by}: ${shown(shade)}`) }))
        .filter((point) => isNumber(point.y) && (!log || point.y > 0));
    });
    Charts.draw($("by-step"), {
      groups, lines: true, by: by || "execution", single: style("--link"),
      x: { label: "step", kind: "linear" },
      y: { label: metric, kind: log ? "log" : "linear" },
      about: `${metric} over the steps of ${groups.length} executions; final values are in the table below.`,
    });
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
