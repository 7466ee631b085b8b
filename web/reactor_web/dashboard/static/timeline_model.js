// The rows of the timeline: which attempts stand in which row, and where idle time is folded. Pure.

/** What is folded is this much of the run, and this long in milliseconds. */
const GAP_SHARE = 0.08;
const GAP_LEAST = 1_000;

/**
 * One row for each task, in the order in which they began; a retry stands in the row of its task. The children of a
 * mapped task share rows as they fit one behind the other, so ten thousand of them are a few rows.
 * @param {any[]} bars of a `History`
 * @param {{opened?: Set<string>}} [options] mapped tasks whose children have a row each
 * @returns {{label: string, task: string, bars: any[], isMap: boolean}[]}
 */
export function rowsOf(bars, { opened = new Set() } = {}) {
  const rows = new Map();
  const lanes = new Map();
  for (const bar of bars) {
    const isChild = bar.map_index !== undefined;
    const key = isChild && !opened.has(bar.name) ? laneOf(bar, lanes) : bar.task;
    if (!rows.has(key)) rows.set(key, { label: isChild && !opened.has(bar.name) ? bar.name : bar.task, task: isChild ? bar.name : bar.task, bars: [], isMap: isChild && !opened.has(bar.name), key });
    rows.get(key).bars.push(bar);
  }
  return grouped([...rows.values()]);
}

/** The first row of a mapped task in which this attempt overlaps with none. */
function laneOf(bar, lanes) {
  const ends = lanes.get(bar.name) ?? [];
  lanes.set(bar.name, ends);
  const own = ends.findIndex((lane) => lane.task === bar.task && lane.to <= bar.from);
  const free = own >= 0 ? own : ends.findIndex((lane) => lane.to <= bar.from);
  const at = free >= 0 ? free : ends.length;
  ends[at] = { to: bar.to ?? Infinity, task: bar.task };
  return `${bar.name}\u0000${at}`;
}

/** The rows of one mapped task stand together, where its first one stands. */
function grouped(rows) {
  const first = new Map();
  rows.forEach((row, at) => first.has(row.task) || first.set(row.task, at));
  return rows.map((row, at) => [row, at]).sort(([one, a], [other, b]) => first.get(one.task) - first.get(other.task) || a - b).map(([row]) => row);
}

/**
 * Times -> places. Where nothing ran, or all that ran waited, for long, the time is folded to a narrow strip.
 * @returns {{to: (time: number) => number, from: (place: number) => number, folds: {from: number, to: number, at: number, size: number}[], size: number}}
 */
export function scaleOf(bars, from, to, { isFolded = true } = {}) {
  const whole = Math.max(1e-3, to - from);
  const quiet = isFolded ? gapsOf(bars, from, to).filter((gap) => gap.to - gap.from > Math.max(GAP_LEAST, whole * GAP_SHARE)) : [];
  const busy = whole - quiet.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const strip = Math.max(busy, whole * 0.02) * 0.04;
  const pieces = [];
  let time = from;
  let place = 0;
  for (const gap of quiet) {
    pieces.push({ from: time, to: gap.from, at: place, size: gap.from - time });
    place += gap.from - time;
    pieces.push({ ...gap, at: place, size: strip, isFold: true });
    place += strip;
    time = gap.to;
  }
  pieces.push({ from: time, to, at: place, size: to - time });
  const size = Math.max(1e-3, place + to - time);
  return {
    size,
    folds: pieces.filter((piece) => piece.isFold),
    to: (at) => placeIn(pieces, at),
    from: (at) => timeIn(pieces, at),
  };
}

function placeIn(pieces, time) {
  const piece = pieces.find((one) => time <= one.to) ?? pieces.at(-1);
  const share = piece.to > piece.from ? (time - piece.from) / (piece.to - piece.from) : 0;
  return piece.at + share * piece.size;
}

function timeIn(pieces, place) {
  const piece = pieces.find((one) => place <= one.at + one.size) ?? pieces.at(-1);
  const share = piece.size > 0 ? (place - piece.at) / piece.size : 0;
  return piece.from + share * (piece.to - piece.from);
}

/** Stretches in which no body worked: none ran, or each waited for a person or slept. */
function gapsOf(bars, from, to) {
  const busy = [];
  for (const bar of bars) {
    let start = bar.from;
    for (const wait of bar.waits) {
      busy.push([start, wait.from]);
      start = wait.to ?? to;
    }
    busy.push([start, bar.to ?? to]);
  }
  busy.sort((one, other) => one[0] - other[0]);
  const gaps = [];
  let until = from;
  for (const [start, end] of busy) {
    if (start > until) gaps.push({ from: until, to: start });
    until = Math.max(until, end);
  }
  if (until < to) gaps.push({ from: until, to });
  return gaps;
}

/** Round steps for the marks of an axis, in milliseconds. */
export function stepFor(ms, most) {
  const least = ms / most;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];
  if (least < 1) return 10 ** Math.ceil(Math.log10(least));
  return steps.find((step) => step >= least) ?? Math.ceil(least / 864e5) * 864e5;
}
