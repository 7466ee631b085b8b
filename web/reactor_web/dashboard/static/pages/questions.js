// What waits for a person, over all runs, each with the form that answers it.
import { html, useChanges, useEffect, useMemo, useTick, useTitle } from "../ui.js";
import { Connection, Empty, Loading, Problem } from "../parts.js";
import { LiveQuestions } from "../live_questions.js";
import { Question } from "../question.js";
import { Name } from "../status.js";
import { ago, counted } from "../format.js";
import { address } from "../route.js";
import { session } from "../session.js";

export function Questions() {
  useTitle("Questions");
  const questions = useMemo(() => new LiveQuestions(session), []);
  useEffect(() => () => questions.close(), []);
  useChanges(questions);
  useTick(10_000, questions.list.length > 0);
  const { list, error, isLoading, status, detail, hasMore } = questions;
  return html`<main class="questions"><div class="page-head"><h1>Questions</h1><${Connection} status=${status} detail=${detail} />${list.length > 0 && html`<span class="dim">${counted(list.length, "question")}${hasMore ? " and more" : ""}</span>`}</div>
    ${error && html`<${Problem} error=${error} retry=${() => questions.happened()} />`}
    ${isLoading ? html`<${Loading} what="Loading questions" />` : !list.length && !error ? html`<${Empty} title="Nothing waits for a person"><p>Where a task asks with <code>ctx.receive</code>, its question is here until it is answered.</p><//>`
      : html`<ul class="question-list">${list.map((question) => html`<li key=${`${question.run_id} ${question.task_id} ${question.key}`}><${One} question=${question} /></li>`)}</ul>`}
  </main>`;
}

const One = ({ question }) => {
  const { run_id, workflow, task_id, since } = question;
  return html`<article>
    <header><a class="mono" href=${address(["runs", run_id, "graph"], { task: task_id })}><${Name} most=${40}>${task_id}<//></a>
      <span class="dim">in <a href=${address(["runs", run_id])}><${Name} most=${40}>${run_id}<//></a> of <${Name} most=${32}>${workflow}<//></span>
      ${since && html`<span class="dim when">${ago(since)}</span>`}</header>
    <${Question} run=${session.api.run(run_id)} task=${task_id} question=${question} />
  </article>`;
};
