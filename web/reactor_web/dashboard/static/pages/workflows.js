// The workflows of the server.
import { html, useAsked, useTitle } from "../ui.js";
import { Empty, Loading, Problem } from "../parts.js";
import { Name } from "../status.js";
import { counted } from "../format.js";
import { address } from "../route.js";
import { session } from "../session.js";

export function Workflows() {
  useTitle("Workflows");
  const { value, error, isLoading } = useAsked(() => session.api.workflows().catch((problem) => Promise.reject(session.told(problem))), []);
  return html`<main class="workflows"><div class="page-head"><h1>Workflows</h1></div>
    ${error ? html`<${Problem} error=${error} />` : isLoading ? html`<${Loading} />` : !value.workflows.length ? html`<${Empty} title="No workflows"><p>This server has tools only: a run of a plan names its tasks itself.</p><//>` : html`
    <ul class="cards">${value.workflows.map((workflow) => html`<li key=${workflow.name}><a href=${address(["workflows", workflow.name])}>
      <h2><${Name}>${workflow.name}<//></h2><p class="dim">version ${workflow.version} · ${counted(workflow.tasks.length, "task")}</p>
      <p class="inputs">${Object.keys(workflow.input_schema.properties ?? {}).map((name) => html`<code key=${name}>${name}</code>`)}</p></a></li>`)}</ul>`}
  </main>`;
}
