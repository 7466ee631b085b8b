// What is done to several runs at once: each is asked for, four at a time, and what was refused is counted and said.
import { html } from "./ui.js";
import { Ask, messages } from "./parts.js";
import { hasEnded } from "./status.js";
import { counted } from "./format.js";
import { session } from "./session.js";

const AT_ONCE = 4;

/** Of the runs that are chosen, those that an action is for. */
export const openOf = (runs) => runs.filter((run) => !run.session && !hasEnded(run.status) && run.status !== "cancelling");
export const endedOf = (runs) => runs.filter((run) => !run.session && hasEnded(run.status));

export function Bulk({ runs, clear }) {
  const [open, ended] = [openOf(runs), endedOf(runs)];
  const act = async (what, chosen, does) => {
    await all(what, chosen, does);
    clear();
  };
  return html`<div class="bulk" role="group" aria-label="What is done to the chosen runs"><strong>${counted(runs.length, "run")} chosen</strong>
    ${open.length > 0 && html`<${Ask} label=${`Cancel ${open.length}`} kind="bad" confirm="Cancel them" question=${`Stop ${counted(open.length, "open run")}?`} act=${() => act("cancelling", open, (run) => run.cancel())} />`}
    ${ended.length > 0 && html`<${Ask} label=${`Retry ${ended.length}`} confirm="Retry them" question=${`Start ${counted(ended.length, "run")} anew, with what completed before?`} act=${() => act("started anew", ended, (run) => run.retry())} />`}
    <button class="quiet" onClick=${clear}>Choose none</button></div>`;
}

/** Does it to each. A refusal stops nothing; the first one is said. */
async function all(what, runs, does) {
  const left = [...runs];
  const refused = [];
  const next = async () => {
    for (let run = left.shift(); run; run = left.shift()) {
      await does(session.api.run(run.run_id)).catch((error) => refused.push(session.told(error)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  if (runs.length > refused.length) messages.say(`${what}: ${counted(runs.length - refused.length, "run")}`);
  if (refused.length) messages.say(`${counted(refused.length, "run")} refused: ${refused[0].message}`, { isBad: true });
}
