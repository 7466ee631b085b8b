// A question of a task, and the form that answers it.
import { html, useState } from "./ui.js";
import { attempt } from "./parts.js";
import { SchemaField, initialOf, missing } from "./schema_form.js";
import { Tree } from "./json_tree.js";
import { moment } from "./format.js";
import { session } from "./session.js";

const ANYTHING = {};

export function Question({ run, task, question, isPast = false, below }) {
  const schema = question.schema ?? ANYTHING;
  const [value, setValue] = useState(() => initialOf(schema, schema));
  const [isBusy, setBusy] = useState(false);
  const problem = missing(value, schema, schema, "an answer");
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    await attempt("answered", () => run.send(task, value, { key: question.key, run: below }));
    setBusy(false);
  };
  const { prompt } = question;
  return html`<form class="question" onSubmit=${send} aria-label=${`Question ${question.key ?? ""} of ${task} in run ${below ?? run.id}`}>
    ${typeof prompt === "string" ? html`<p class="prompt" tabindex="0">${prompt}</p>` : prompt ? html`<${Tree} value=${prompt} depth=${2} />` : html`<p class="prompt dim">The task waits for a value.</p>`}
    ${question.expires && html`<p class="dim">until ${moment(question.expires)}</p>`}
    ${isPast ? "" : session.may("control") ? html`
      <${SchemaField} name=${`${task}.${question.key}`} label="Answer" schema=${schema} value=${value} change=${setValue} />
      <div class="row"><button class="main" disabled=${isBusy || Boolean(problem)} title=${problem ?? ""}>Answer</button></div>`
      : html`<p class="dim">You may look, but not answer.</p>`}
  </form>`;
}
