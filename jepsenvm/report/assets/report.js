"use strict";
// Turns the data of the page into options of Apache ECharts, and keeps all charts at one range and one moment.
(function () {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const timeline = data.timeline;
  const charts = [];
  const shown = { faults: true, states: true, leader: true, views: true, marks: true, silences: true, log: true };
  const LAYERS = {
    faults: "fault intervals", states: "faults of nodes", leader: "queue leader", views: "the broker's own view",
    marks: "lost and undecided messages", silences: "times without an ok", log: "log lines",
  };
  let range = [0, data.end];
  let moment = null;

  // Texts and colours.

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const number = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 3 });
  const time = (value) => `${value.toFixed(data.end < 10 ? 3 : 1)} s`;

  // A tooltip is built from elements, so that no text of a run is ever read as markup.
  function tip(...lines) {
    const box = document.createElement("div");
    box.className = "tip";
    for (const line of lines) {
      const row = document.createElement("div");
      row.textContent = line;
      box.append(row);
    }
    return box;
  }

  function tooltip() {
    return {
      confine: true, backgroundColor: colour("panel"), borderColor: colour("line"),
      textStyle: { color: colour("text") }, transitionDuration: 0,
    };
  }

  function axis(more) {
    return {
      axisLine: { lineStyle: { color: colour("line") } }, axisTick: { lineStyle: { color: colour("line") } },
      axisLabel: { color: colour("faint") }, nameTextStyle: { color: colour("faint") },
      splitLine: { lineStyle: { color: colour("line"), opacity: 0.5 } }, ...more,
    };
  }

  function timeAxis({ labels = true, ...more } = {}) {
    return axis({
      type: "value", min: 0, max: data.end, splitLine: { show: false }, axisTick: { show: labels, lineStyle: { color: colour("line") } },
      axisLabel: { show: labels, color: colour("faint"), hideOverlap: true, formatter: tick }, ...more,
    });
  }

  // The ends of a range are rarely whole seconds.
  const tick = (value) => number(Number(value.toFixed(range[1] - range[0] < 10 ? 3 : 1)));

  // Charts have the same place for labels, so that one moment is at the same place in all of them.
  const grid = (more) => ({ left: LEFT, right: RIGHT, outerBoundsMode: "none", ...more });

  function zooms(indices, slider) {
    const common = { xAxisIndex: indices, startValue: range[0], endValue: range[1], filterMode: "none" };
    const inside = { type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, minValueSpan: data.end / 5000, ...common };
    if (!slider) return [inside];
    return [inside, {
      type: "slider", bottom: 6, height: 20, brushSelect: true, textStyle: { color: colour("faint") },
      borderColor: colour("line"), labelFormatter: (value) => time(value), ...common,
    }];
  }

  function faultAreas() {
    if (!shown.faults) return { data: [] };
    return {
      silent: true, itemStyle: { color: colour("fault"), opacity: 0.13 },
      data: timeline.faults.map((fault) => [{ xAxis: fault.begin }, { xAxis: fault.end }]),
    };
  }

  function momentLine() {
    return {
      silent: true, symbol: "none", label: { show: false }, animation: false,
      lineStyle: { color: colour("text"), type: "solid", width: 1 },
      data: moment === null ? [] : [{ xAxis: moment }],
    };
  }

  const binned = (values) => values.map((value, bin) => [bin * data.width, value]);

  // The timeline.

  // From the top of a lane, in pixels: the leader, faults, views, lost messages above the rate, log lines and silences.
  const RUN_TRACK = 20, LANE = 100, GAP = 10, LEFT = 76, RIGHT = 24;
  const VIEWS_AT = 36, MARKS_AT = 50, RATE_AT = 44;
  const runTracks = 1 + Math.max(0, ...timeline.run.map((bar) => bar[5]));
  const runHeight = runTracks * RUN_TRACK;
  const top = (lane) => 8 + runHeight + GAP + lane * (LANE + GAP);
  const timelineHeight = top(timeline.lanes.length) + 70;
  const mostRate = Math.max(1, ...timeline.lanes.map((lane) => Math.max(0, ...lane.rate)));
  const topRate = (mostRate * LANE) / (LANE - RATE_AT);
  const rateAt = (pixels) => topRate * (1 - pixels / LANE);

  function bars(name, rows, index, place, fill, withLabel) {
    return {
      name, type: "custom", xAxisIndex: index, yAxisIndex: index, clip: true, encode: { x: [0, 1] }, data: rows,
      renderItem: (params, api) => bar(params, api, rows[params.dataIndex], place, fill, withLabel),
      tooltip: { formatter: (hit) => tip(`${hit.data[2]}: ${time(hit.data[0])} to ${time(hit.data[1])}`, hit.data[4] || "") },
    };
  }

  function bar(params, api, row, place, fill, withLabel) {
    const grid = params.coordSys;
    const { y, height } = place(grid, row);
    const left = api.coord([row[0], 0])[0];
    // Bars that follow each other have a pixel between them.
    const right = Math.max(api.coord([row[1], 0])[0] - 1, left + 2);
    const shape = echarts.graphic.clipRectByRect({ x: left, y, width: right - left, height }, grid);
    if (!shape) return null;
    const children = [{ type: "rect", shape, style: { fill: fill(row), opacity: row[3] === "phase" ? 0.45 : 0.75 } }];
    if (withLabel && shape.width > 34) {
      children.push({
        type: "text", silent: true,
        style: {
          text: row[2], x: shape.x + 4, y: y + height / 2, verticalAlign: "middle", fill: colour("text"),
          stroke: colour("back"), lineWidth: 3, font: "12px system-ui, sans-serif",
          width: shape.width - 8, overflow: "truncate",
        },
      });
    }
    return { type: "group", children };
  }

  function laneSeries(lane, index) {
    const tracks = 1 + Math.max(0, ...lane.bars.map((row) => row[5]));
    const all = [{
      id: `moment-${index}`, name: `${lane.node}: acknowledged per second`, type: "line", step: "end", xAxisIndex: index, yAxisIndex: index,
      symbol: "none", lineStyle: { width: 1, color: colour("rate") }, areaStyle: { color: colour("rate"), opacity: 0.3 },
      data: binned(lane.rate), markArea: faultAreas(), markLine: momentLine(), animation: false, silent: true,
    }];
    if (shown.states) {
      all.push(bars("faults of the node", lane.bars, index,
        (grid, row) => ({ y: grid.y + 8 + (row[5] * 20) / tracks, height: 20 / tracks - 1 }),
        (row) => colour(row[3]), true));
    }
    if (shown.leader) {
      all.push(bars("leader", lane.leader, index, (grid) => ({ y: grid.y, height: 6 }), () => colour("leader"), false));
    }
    if (shown.silences) {
      const rows = lane.silences.map(([begin, end]) => [begin, end, "no op was ok", "silence", ""]);
      all.push(bars("times without an ok", rows, index, (grid) => ({ y: grid.y + grid.height - 5, height: 5 }), () => colour("silence"), false));
    }
    if (shown.views) all.push(views(lane, index));
    if (shown.log) all.push(logTicks(lane, index));
    if (shown.marks) all.push(marks(lane, index, "lost", "triangle"), marks(lane, index, "undecided", "diamond"));
    return all;
  }

  function views(lane, index) {
    const fill = { whole: colour("s2"), part: colour("undecided"), silent: colour("phase") };
    return {
      name: "the broker's own view", type: "scatter", xAxisIndex: index, yAxisIndex: index, symbolSize: 9, animation: false,
      data: lane.views.map(([at, state, text]) => ({ value: [at, rateAt(VIEWS_AT)], text, itemStyle: { color: fill[state], borderColor: colour("back"), borderWidth: 1 } })),
      tooltip: { formatter: (hit) => tip(`${lane.node} at ${time(hit.value[0])}: ${hit.data.text}`) },
    };
  }

  function logTicks(lane, index) {
    return {
      name: "log lines", type: "scatter", xAxisIndex: index, yAxisIndex: index, symbol: "rect", symbolSize: [3, 9], symbolOffset: [0, -6],
      animation: false, itemStyle: { color: colour("log") },
      data: lane.log.map(([at, text]) => ({ value: [at, 0], text })),
      tooltip: { formatter: (hit) => tip(`${lane.node} at ${time(hit.value[0])}`, hit.data.text) },
    };
  }

  function marks(lane, index, kind, symbol) {
    const rows = lane.marks.filter((mark) => mark[3] === kind);
    return {
      name: `${kind} messages`, type: "scatter", xAxisIndex: index, yAxisIndex: index, symbol, animation: false, z: 5,
      symbolSize: (value) => Math.min(18, 9 + 2 * Math.log10(value[2])),
      itemStyle: { color: colour(kind), borderColor: colour("back"), borderWidth: 1 },
      data: rows.map((mark) => ({ value: [mark[0], rateAt(MARKS_AT), mark[2]], mark })),
      tooltip: { formatter: (hit) => markTip(lane.node, hit.data.mark) },
    };
  }

  function markTip(node, [first, last, count, kind, examples]) {
    const when = first === last ? `at ${time(first)}` : `between ${time(first)} and ${time(last)}`;
    const more = count > examples.length ? ", ..." : "";
    return tip(`${number(count)} ${kind}`, `confirmed by ${node} ${when}`, `values ${examples.join(", ")}${more}`);
  }

  function timelineOption() {
    const indices = [0, ...timeline.lanes.map((_, lane) => lane + 1)];
    const fill = (row) => colour(row[3]);
    const grids = [{ top: 8, height: runHeight }, ...timeline.lanes.map((_, lane) => ({ top: top(lane), height: LANE }))];
    const last = indices.length - 1;
    return {
      animation: false, tooltip: { trigger: "item", ...tooltip() },
      axisPointer: { link: [{ xAxisIndex: "all" }], show: true, snap: false, triggerTooltip: false, type: "line", label: { show: false }, lineStyle: { color: colour("faint") } },
      title: [...grids.keys()].map((index) => ({
        text: index ? timeline.lanes[index - 1].node : "run", left: 4, top: grids[index].top + 2,
        textStyle: { color: colour("text"), fontSize: 13, fontWeight: 600, width: LEFT - 12, overflow: "truncate" },
      })),
      grid: grids.map(grid),
      xAxis: indices.map((index) => timeAxis({
        gridIndex: index, labels: index === last,
        name: index === last ? "seconds since the run began" : "", nameLocation: "middle", nameGap: 24,
      })),
      yAxis: indices.map((index) => axis({
        gridIndex: index, type: "value", min: 0, max: index ? topRate : 1, interval: index ? mostRate : 1,
        splitLine: { show: false }, axisLine: { show: false }, axisTick: { show: false },
        axisLabel: { show: index > 0, color: colour("faint"), fontSize: 10, formatter: (value) => (value > mostRate ? "" : `${number(Math.round(value))}/s`) },
        axisPointer: { show: false },
      })),
      dataZoom: zooms(indices, true),
      series: [
        { id: "moment-0", type: "line", data: [], xAxisIndex: 0, yAxisIndex: 0, markArea: faultAreas(), markLine: momentLine() },
        bars("run", timeline.run, 0, (grid, row) => ({ y: grid.y + row[5] * RUN_TRACK, height: RUN_TRACK - 2 }), fill, true),
        ...timeline.lanes.flatMap((lane, index) => laneSeries(lane, index + 1)),
      ],
    };
  }

  // The other charts.

  const TYPES = { ok: "s0", fail: "s4", info: "s1" };
  const seriesColour = (series, index) => colour(series.type ? TYPES[series.type] : `s${index % 8}`);

  function chartOption(chart) {
    const single = chart.series.every((series) => series.kind !== "points");
    const fill = (series, index) => (series.kind === "area" && !series.type ? colour("rate") : seriesColour(series, index));
    return {
      animation: false, legend: { show: false },
      tooltip: { trigger: single ? "axis" : "item", ...tooltip(), formatter: (hits) => axisTip(chart, hits) },
      grid: grid({ top: 30, bottom: 46 }),
      xAxis: timeAxis({ name: "seconds since the run began", nameLocation: "middle", nameGap: 26 }),
      yAxis: axis({ type: chart.log ? "log" : "value", name: chart.unit, nameGap: 12, nameTextStyle: { align: "left", color: colour("faint") } }),
      dataZoom: zooms([0], false),
      series: chart.series.map((series, index) => {
        const common = { name: series.name, animation: false, itemStyle: { color: fill(series, index) } };
        const extra = index ? {} : { id: "moment-0", markArea: faultAreas(), markLine: momentLine() };
        if (series.kind === "points") {
          return {
            ...common, ...extra, type: "scatter", data: series.data.map(([at, y, count]) => [at, Math.max(y, 1e-6), count]),
            symbolSize: (value) => Math.min(8, 3 + Math.log10(value[2])), itemStyle: { color: fill(series, index), opacity: 0.55 },
          };
        }
        const positive = chart.log ? series.data.map((value) => (value === 0 ? null : value)) : series.data;
        return {
          ...common, ...extra, type: "line", step: series.kind === "area" || !chart.log ? "end" : undefined, data: binned(positive),
          connectNulls: false, showSymbol: chart.log === true, symbolSize: 4, stack: chart.stacked ? "all" : undefined,
          lineStyle: { width: 1.3, color: fill(series, index) },
          areaStyle: series.kind === "area" ? { opacity: 0.35, color: fill(series, index) } : undefined,
        };
      }),
    };
  }

  function axisTip(chart, hits) {
    const all = Array.isArray(hits) ? hits : [hits];
    if (!all.length) return null;
    const lines = all.filter((hit) => hit.value[1] !== null && hit.value[1] !== undefined).map((hit) => {
      const count = hit.value.length > 2 && hit.value[2] > 1 ? `, one of ${number(hit.value[2])} ops` : "";
      return `${hit.seriesName}: ${number(hit.value[1])} ${chart.unit}${count}`;
    });
    return tip(time(all[0].value[0]), ...lines);
  }

  function violationOption() {
    const rows = data.violation.map(([from, to, name], index) => [from, to === null ? data.end : to, name, to === null ? "undecided" : "side", "", index]);
    return {
      animation: false, tooltip: { trigger: "item", ...tooltip() },
      grid: grid({ left: 260, top: 10, bottom: 46 }),
      xAxis: timeAxis({ name: "seconds since the run began", nameLocation: "middle", nameGap: 26 }),
      yAxis: axis({ type: "category", inverse: true, data: rows.map((row) => row[2]), axisLabel: { color: colour("text"), width: 245, overflow: "truncate" } }),
      dataZoom: zooms([0], false),
      series: [bars("ops", rows, 0, (grid, row) => {
        const height = grid.height / rows.length;
        return { y: grid.y + row[5] * height + height * 0.2, height: height * 0.6 };
      }, (row) => colour(row[3]), false)],
    };
  }

  // One range and one moment for all charts.

  function addChart(id, option, height) {
    const element = byId(`chart-${id}`);
    if (!element) return;
    if (height) element.style.height = `${height}px`;
    const instance = echarts.init(element, null, { renderer: "svg" });
    const chart = { id, instance, option };
    instance.setOption(option());
    instance.on("datazoom", () => {
      const zoom = instance.getOption().dataZoom[0];
      setRange(zoom.startValue, zoom.endValue, chart);
    });
    instance.getZr().on("click", (event) => {
      const at = instance.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
      if (Number.isFinite(at) && at >= 0 && at <= data.end && event.offsetX >= LEFT) setMoment(at);
    });
    charts.push(chart);
  }

  function setRange(from, to, source) {
    const least = data.end / 5000;
    const begin = Math.min(Math.max(0, from), data.end - least);
    const end = Math.max(Math.min(data.end, to), begin + least);
    if (Math.abs(begin - range[0]) < 1e-9 && Math.abs(end - range[1]) < 1e-9) return;
    range = [begin, end];
    for (const chart of charts) {
      if (chart !== source) chart.instance.dispatchAction({ type: "dataZoom", startValue: begin, endValue: end });
    }
    showRange();
  }

  function showRange() {
    byId("zoom-text").textContent = `The charts show ${time(range[0])} to ${time(range[1])}. Drag to move, use Ctrl and the wheel or the buttons to zoom.`;
    remember();
  }

  function setMoment(at) {
    moment = Math.round(Math.min(Math.max(0, at), data.end) * 1000) / 1000;
    byId("moment").value = moment;
    byId("moment-number").value = moment;
    for (const chart of charts) redrawMoment(chart);
    showMoment();
    remember();
  }

  function redrawMoment(chart) {
    if (chart.id === "violation") return;
    const grids = chart.id === "timeline" ? timeline.lanes.length + 1 : 1;
    chart.instance.setOption({ series: [...Array(grids).keys()].map((index) => ({ id: `moment-${index}`, markLine: momentLine() })) });
  }

  const during = (rows, at) => rows.filter((row) => row[0] <= at && at < row[1]);

  function showMoment() {
    const faults = timeline.faults.filter((fault) => fault.begin <= moment && moment < fault.end).map((fault) => fault.title);
    const phases = during(timeline.run, moment).filter((row) => row[3] === "phase").map((row) => row[2]);
    byId("moment-text").textContent = `At ${time(moment)}: ${[...phases, ...(faults.length ? faults : ["no fault"])].join("; ")}.`;
    const rows = timeline.lanes.map((lane) => {
      const seen = lane.views.filter((view) => view[0] <= moment).pop();
      const rate = lane.rate[Math.min(lane.rate.length - 1, Math.floor(moment / data.width))];
      const states = during(lane.bars, moment).map((row) => row[2]);
      return [
        lane.node, states.join("; ") || "none", during(lane.leader, moment).length ? "leader" : "",
        seen ? `${seen[2]} (at ${time(seen[0])})` : "not asked yet", number(rate),
      ];
    });
    byId("moment-rows").replaceChildren(...rows.map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((text, index) => {
        const cell = document.createElement(index ? "td" : "th");
        if (!index) cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }));
  }

  // The address of the page: #from=30&to=60&at=34.6

  let timer = null;
  function remember() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const parts = [];
      if (range[0] > 0 || range[1] < data.end) parts.push(`from=${range[0].toFixed(3)}`, `to=${range[1].toFixed(3)}`);
      if (moment !== null) parts.push(`at=${moment}`);
      if (parts.length) history.replaceState(null, "", `#${parts.join("&")}`);
    }, 150);
  }

  function follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const value = (name) => (wanted.has(name) && Number.isFinite(Number(wanted.get(name))) ? Number(wanted.get(name)) : null);
    const [from, to, at] = [value("from"), value("to"), value("at")];
    const whole = from === null || to === null || to <= from;
    if (!whole) setRange(from, to);
    if (at === null) return;
    // The links of the tables name a moment only. It has to be seen, whatever range is shown.
    if (whole && (at < range[0] || at > range[1])) setRange(0, data.end);
    setMoment(at);
    byId("timeline").scrollIntoView();
  }

  // The controls.

  function checkbox(parent, text, swatch, checked, changed) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "checkbox";
    input.checked = checked;
    input.addEventListener("change", () => changed(input.checked));
    label.append(input, " ");
    if (swatch) label.append(square(swatch));
    label.append(text);
    parent.append(label);
  }

  function square(name) {
    const box = document.createElement("span");
    box.className = "swatch";
    box.style.background = `var(--${name})`;
    return box;
  }

  function addControls() {
    const used = { marks: timeline.lanes.some((lane) => lane.marks.length), log: timeline.lanes.some((lane) => lane.log.length), views: timeline.lanes.some((lane) => lane.views.length), leader: timeline.lanes.some((lane) => lane.leader.length), faults: timeline.faults.length, states: timeline.faults.length, silences: timeline.lanes.some((lane) => lane.silences.length) };
    for (const [layer, text] of Object.entries(LAYERS)) {
      if (used[layer]) checkbox(byId("layers"), text, null, true, (on) => { shown[layer] = on; redraw(); });
    }
    const kinds = new Set(timeline.lanes.flatMap((lane) => lane.bars.map((row) => row[3])));
    const views = new Set(timeline.lanes.flatMap((lane) => lane.views.map((view) => view[1])));
    const missing = new Set(timeline.lanes.flatMap((lane) => lane.marks.map((mark) => mark[3])));
    const keys = [
      ["rate", "acknowledged per second", true],
      ["fault", "fault", used.faults],
      ["side", "side of a partition", kinds.has("side")],
      ["phase", views.has("silent") ? "phase of the run; or the broker did not answer" : "phase of the run", true],
      ["leader", "queue leader, as last reported", used.leader],
      ["lost", "lost messages, where they were confirmed", missing.has("lost")],
      ["silence", "no op was ok for over 1 s", used.silences],
      ["log", "notable log line", used.log],
      ["s2", "the broker saw the whole cluster", views.has("whole")],
      ["undecided", "the broker saw a part of the cluster", views.has("part")],
      ["undecided", "undecided messages, where they were confirmed", missing.has("undecided")],
    ];
    for (const [name, text, wanted] of keys) {
      if (!wanted) continue;
      const item = document.createElement("li");
      item.append(square(name), text);
      byId("key").append(item);
    }
    for (const chart of data.charts) {
      if (chart.series.length < 2) continue;
      chart.series.forEach((series, index) => {
        const swatch = series.type ? TYPES[series.type] : `s${index % 8}`;
        checkbox(byId(`legend-${chart.id}`), series.name, swatch, true, (on) => {
          const instance = charts.find((one) => one.id === chart.id).instance;
          instance.dispatchAction({ type: on ? "legendSelect" : "legendUnSelect", name: series.name });
        });
      });
    }
    for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(button.dataset.zoom));
    byId("moment").addEventListener("input", (event) => setMoment(Number(event.target.value)));
    byId("moment-number").addEventListener("change", (event) => setMoment(Number(event.target.value)));
  }

  function zoom(how) {
    const span = range[1] - range[0];
    const middle = moment !== null && moment >= range[0] && moment <= range[1] ? moment : (range[0] + range[1]) / 2;
    const moves = {
      in: [middle - span / 4, middle + span / 4], out: [middle - span, middle + span], all: [0, data.end],
      left: [Math.max(0, range[0] - span / 2), Math.max(0, range[0] - span / 2) + span],
      right: [Math.min(data.end, range[1] + span / 2) - span, Math.min(data.end, range[1] + span / 2)],
    };
    setRange(...moves[how]);
  }

  function redraw() {
    for (const chart of charts) chart.instance.setOption(chart.option(), { notMerge: true });
  }

  // A printed page is light, has the width of the paper, and shows what is folded.
  function print(on) {
    for (const details of document.querySelectorAll("details")) {
      if (on) details.dataset.open = details.open;
      details.open = on || details.dataset.open === "true";
    }
    for (const chart of charts) chart.instance.resize(on ? { width: 700 } : { width: "auto" });
    redraw();
  }

  addControls();
  addChart("timeline", timelineOption, timelineHeight);
  for (const chart of data.charts) addChart(chart.id, () => chartOption(chart));
  if (data.violation.length) addChart("violation", violationOption, 80 + 30 * data.violation.length);
  showRange();
  follow();
  if (moment === null) setMoment(timeline.faults.length ? timeline.faults[0].begin : 0);
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", () => charts.forEach((chart) => chart.instance.resize()));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.matchMedia("print").addEventListener("change", (event) => print(event.matches));
  window.jepsenvmReport = { charts, data };
})();
