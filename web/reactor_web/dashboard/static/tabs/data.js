// What went into a run and what came out of it; large values are asked for when somebody wants them.
import { html, useEffect, useState } from "../ui.js";
import { Loading, Problem } from "../parts.js";
import { Value } from "../json_tree.js";
import { hasEnded } from "../status.js";

export function Data({ run, state, history }) {
  const isOver = hasEnded(state.status);
  const [asked, setAsked] = useState({});
  const last = history.events.at(-1);
  const { started } = history;
  const needsMore = Boolean(started?.input_ref || (isOver && last?.data.outputs_ref));
  const read = () => run.read().then((value) => setAsked(value ? { value } : { error: new Error("the server does not answer") }));
  useEffect(() => {
    if (needsMore && !asked.value) read();
  }, [needsMore]);
  if (needsMore && asked.error) return html`<${Problem} error=${asked.error} retry=${read} />`;
  if (needsMore && !asked.value) return html`<${Loading} what="Loading the data" />`;
  const outputs = isOver && last?.type === "run.completed" ? last.data.outputs ?? asked.value?.outputs : undefined;
  return html`<div class="data-tab">
    <${Value} title="Input" value=${started?.input ?? asked.value?.input} depth=${3} />
    <${Value} title="Outputs" value=${outputs} depth=${3} note=${outputs === undefined ? (isOver ? state.status : "when it has completed") : ""} />
    ${state.error && html`<${Value} title="Error" value=${state.error} depth=${3} />`}
    <${Value} title="Meta" value=${state.meta ?? undefined} depth=${3} />
    <${Value} title="About" value=${about(run, state, started)} depth=${1} />
  </div>`;
}

const about = (run, state, started) => ({
  run_id: run.id, workflow: state.workflow, version: state.version, fingerprint: started?.fingerprint, started_by: started?.by, retry_of: started?.retry_of,
  parent: state.parent, recoveries: state.recoveries, last_event: run.stream.lastSeq,
});
