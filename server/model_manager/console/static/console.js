// What moves on a page: rates and times, which are the differences of totals that the server tells. Everything else is
// made on the server, and fetched again by htmx.
"use strict";

const EVERY_MS = 2000;
const MOST_POINTS = 450;
const COLOURS = ["#2f7ed8", "#d9822b", "#3a9e5c", "#b04fc0", "#c2453d", "#0f8b8d", "#8a6d3b", "#6a6fd0"];

const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// the time below which a share of the requests stayed, of counts by bucket; linear within a bucket, as Prometheus does it
function quantile(share, bounds, counts) {
  const total = counts.reduce((sum, one) => sum + one, 0);
  if (!total) return null;
  let rank = share * total;
  for (let at = 0; at < bounds.length; at += 1) {
    if (rank <= counts[at]) {
      const low = at ? bounds[at - 1] : 0;
      return low + (bounds[at] - low) * (rank / counts[at]);
    }
    rank -= counts[at];
  }
  return bounds[bounds.length - 1];
}

function difference(now, before) {
  const less = (one, other) => Math.max(0, one - other);
  return {
    ok: less(now.ok, before.ok),
    refused: less(now.refused, before.refused),
    failed: less(now.failed, before.failed),
    bounds: now.bounds,
    counts: now.counts.map((one, at) => less(one, before.counts[at] || 0)),
  };
}

function added(figures) {
  const whole = { ok: 0, refused: 0, failed: 0, bounds: [], counts: [] };
  for (const one of figures) {
    whole.ok += one.ok;
    whole.refused += one.refused;
    whole.failed += one.failed;
    if (one.bounds.length) whole.bounds = one.bounds;
    whole.counts = one.counts.map((count, at) => count + (whole.counts[at] || 0));
  }
  return whole;
}

const per_second = (count, seconds) => (count / seconds).toFixed(count / seconds < 10 ? 1 : 0);
const milliseconds = (seconds) => (seconds === null ? "–" : `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`);

function tell(differences, seconds) {
  const models = new Map();
  for (const [version, one] of differences) {
    const model = version.slice(0, version.indexOf("/"));
    models.set(model, [...(models.get(model) || []), one]);
  }
  for (const [model, figures] of models) {
    const whole = added(figures);
    const said = {
      rate: per_second(whole.ok + whole.refused + whole.failed, seconds),
      failed: per_second(whole.failed, seconds),
      median: milliseconds(quantile(0.5, whole.bounds, whole.counts)),
      p99: milliseconds(quantile(0.99, whole.bounds, whole.counts)),
    };
    for (const [what, text] of Object.entries(said)) {
      for (const cell of document.querySelectorAll(`[data-${what}]`)) {
        if (cell.dataset[what] === model) cell.textContent = text;
      }
    }
  }
}

// one picture: a line for each version, of the last quarter of an hour
class Plot {
  constructor(place, value) {
    this.place = place;
    this.value = value;
    this.times = [];
    this.lines = new Map();
    this.plot = null;
    new ResizeObserver(() => this.plot && this.plot.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(true));
  }

  size() {
    return { width: Math.max(200, this.place.clientWidth), height: 220 };
  }

  add(at, differences, seconds) {
    this.times.push(at);
    for (const [version] of differences) {
      if (!this.lines.has(version)) this.lines.set(version, new Array(this.times.length - 1).fill(null));
    }
    for (const [version, line] of this.lines) {
      const one = differences.get(version);
      line.push(one ? this.value(one, seconds) : null);
    }
    if (this.times.length > MOST_POINTS) {
      this.times.shift();
      for (const line of this.lines.values()) line.shift();
    }
    this.draw(this.plot === null || this.plot.series.length !== this.lines.size + 1);
  }

  draw(anew) {
    const data = [this.times, ...this.lines.values()];
    if (!anew) {
      this.plot.setData(data);
      return;
    }
    if (this.plot) this.plot.destroy();
    const axis = { stroke: styleOf("--soft"), grid: { stroke: styleOf("--rule") }, ticks: { stroke: styleOf("--rule") } };
    const names = [...this.lines.keys()].map((version) => version.slice(version.indexOf("/") + 1));
    const series = names.map((label, at) => ({ label, stroke: COLOURS[at % COLOURS.length], width: 2, spanGaps: false }));
    this.plot = new uPlot(
      { ...this.size(), series: [{ label: "time" }, ...series], axes: [axis, axis], scales: { y: { range: [0, null] } } },
      data,
      this.place,
    );
  }
}

const VALUES = {
  rate: (one, seconds) => (one.ok + one.refused + one.failed) / seconds,
  p99: (one) => {
    const found = quantile(0.99, one.bounds, one.counts);
    return found === null ? null : found * 1000;
  },
};

function begin() {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const plots = [...document.querySelectorAll("[data-plot]")].map((place) => new Plot(place, VALUES[place.dataset.plot]));
  const words = document.querySelector("[data-plot-words]");
  const connection = document.getElementById("connection");
  let before = null;
  let told = [new Map(), 1];

  async function look() {
    try {
      const answer = await fetch(live.dataset.live, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const now = await answer.json();
      if (before) {
        const seconds = Math.max(0.001, now.at - before.at);
        const differences = new Map(
          Object.entries(now.versions)
            .filter(([version]) => version in before.versions)
            .map(([version, one]) => [version, difference(one, before.versions[version])]),
        );
        told = [differences, seconds];
        tell(...told);
        for (const plot of plots) plot.add(now.at, differences, seconds);
        if (words) {
          words.textContent = differences.size
            ? [...differences].map(([version, one]) => `${version}: ${per_second(one.ok + one.refused + one.failed, seconds)} requests/s, ${per_second(one.failed, seconds)} failed/s`).join("; ")
            : "No requests since the server began.";
        }
      }
      before = now;
      connection.textContent = "";
    } catch (error) {
      connection.textContent = "The server does not answer; trying again.";
    }
    setTimeout(look, document.hidden ? 5 * EVERY_MS : EVERY_MS);
  }

  document.body.addEventListener("htmx:afterSwap", () => tell(...told)); // a table that came anew has no figures yet
  look();
}

document.addEventListener("DOMContentLoaded", begin);
