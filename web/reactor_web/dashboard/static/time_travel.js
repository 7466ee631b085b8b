// The slider over the log: every tab shows the run as it was at that event. It plays the log, and has a link to the moment.
import { html, useEffect, useState } from "./ui.js";
import { Copy } from "./parts.js";
import { clock, count } from "./format.js";
import { place } from "./route.js";

const SPEEDS = [1, 5, 20, 100];
/** Events a second at speed 1. */
const PACE = 10;

export function TimeTravel({ run }) {
  const [speed, setSpeed] = useState(0);
  const last = run.stream.lastSeq;
  const at = run.at ?? last;
  useEffect(() => play(run, speed, () => setSpeed(0)), [run, speed]);
  if (!run.canTravel) return run.history.dropped ? html`<footer class="travel dim">This run has more events than this page keeps: it cannot go back in time here.</footer>` : null;
  const go = (seq) => {
    run.go(seq);
    settle(run);
  };
  const event = run.history.events[at - 1];
  return html`<footer class="travel" aria-label="Time travel" role="group">
    <button aria-label=${speed ? "Stop" : "Play from here"} title=${speed ? "Stop" : "Play"} onClick=${() => (speed ? setSpeed(0) : begin(run, setSpeed))}>${speed ? "❚❚" : "▶"}</button>
    <button aria-label="One event back" title="One event back" disabled=${at <= 1} onClick=${() => go(at - 1)}>‹</button>
    <input type="range" min="1" max=${last} value=${at} aria-label="Event" aria-valuetext=${event ? `event ${at} of ${last}: ${event.type}` : ""} onInput=${(input) => go(Number(input.target.value))} />
    <button aria-label="One event on" title="One event on" disabled=${run.at === null} onClick=${() => go(at + 1)}>›</button>
    <label class="speed"><span class="offscreen">Speed</span><select value=${speed || SPEEDS[1]} disabled=${!speed} onChange=${(input) => setSpeed(Number(input.target.value))}>${SPEEDS.map((one) => html`<option value=${one}>${one}×</option>`)}</select></label>
    <span class="where num">${count(at)} / ${count(last)}${event ? html` <span class="dim">${event.type} ${event.task_id ?? ""} · ${clock(event.time)}</span>` : ""}</span>
    ${run.at !== null && html`<${Copy} text=${() => location.href} label="Copy link" /><button class="main" onClick=${() => { setSpeed(0); go(null); }}>Now</button>`}
  </footer>`;
}

let settling;
/** The address follows once the slider rests: browsers refuse hundreds of changes a second. */
function settle(run) {
  clearTimeout(settling);
  settling = setTimeout(() => place.now.path[1] === run.id && place.set({ seq: run.at ?? "" }), 250);
}

function begin(run, setSpeed) {
  if (run.at === null) run.go(1);
  setSpeed(SPEEDS[1]);
}

function play(run, speed, end) {
  if (!speed) return undefined;
  let shown = performance.now();
  let rest = 0;
  let frame = requestAnimationFrame(function next(now) {
    rest += ((now - shown) / 1000) * PACE * speed;
    shown = now;
    const step = Math.floor(rest);
    rest -= step;
    if (step) run.go((run.at ?? Infinity) + step);
    if (run.at === null) return finish();
    frame = requestAnimationFrame(next);
    return undefined;
  });
  const finish = () => {
    settle(run);
    end();
  };
  return () => {
    cancelAnimationFrame(frame);
    settle(run);
  };
}
