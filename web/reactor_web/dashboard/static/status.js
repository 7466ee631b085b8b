// The statuses of runs and tasks: their words, signs and colours. Each has a sign of its own, so colour says nothing alone.
import { html } from "./ui.js";

/** Drawn in a box of 16 by 16. */
const SIGNS = {
  running: "M8 2 a6 6 0 1 1 -5.2 3",
  completed: "M3 8.5 L6.5 12 L13 4.5",
  failed: "M4 4 L12 12 M12 4 L4 12",
  waiting: "M5.5 6 a2.5 2.5 0 1 1 3.4 2.3 c-.6.3-.9.6-.9 1.4 M8 12.4 v.3",
  retrying: "M13 8 a5 5 0 1 1 -1.6 -3.7 M13 2 v3 h-3",
  paused: "M5.5 3.5 v9 M10.5 3.5 v9",
  cancelling: "M4 4 h8 v8 h-8 z",
  cancelled: "M3 8 h10",
  skipped: "M4 4 l4 4 l-4 4 M9 4 l4 4 l-4 4",
  pending: "M8 3 a5 5 0 1 0 .01 0",
};

export const STATUSES = Object.keys(SIGNS);
export const RUN_STATUSES = ["running", "paused", "cancelling", "completed", "failed", "cancelled"];
export const OPEN = ["pending", "running", "paused", "cancelling"];
export const hasEnded = (status) => ["completed", "failed", "cancelled", "skipped"].includes(status);

export const Sign = ({ status }) => html`
  <svg class="sign s-${status}" viewBox="0 0 16 16" aria-hidden="true"><path d=${SIGNS[status] ?? SIGNS.pending} /></svg>`;

/** `label`: another word for it. */
export const Status = ({ status, label = status }) => html`<span class="status s-${status}"><${Sign} status=${status} />${label}</span>`;

/** Names of tasks and runs are whatever people chose; the middle of a long one is left out, and the title has it all. */
export const Name = ({ children: text, most = 48 }) => {
  const name = String(text);
  const half = Math.floor((most - 1) / 2);
  const shown = name.length > most ? `${name.slice(0, half)}…${name.slice(-half)}` : name;
  return html`<span class="name" title=${shown === name ? undefined : name}>${shown}</span>`;
};
