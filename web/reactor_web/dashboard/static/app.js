// The dashboard: who looks, where they are, and the page that is there.
import { html, render, useChanges, useEffect, useState } from "./ui.js";
import { MessageList, Problem } from "./parts.js";
import { address, place } from "./route.js";
import { session, theme } from "./session.js";
import { Runs } from "./pages/runs.js";
import { Run } from "./pages/run.js";
import { Workflows } from "./pages/workflows.js";
import { Workflow } from "./pages/workflow.js";
import { Questions } from "./pages/questions.js";
import { Compare } from "./pages/compare.js";
import { SignIn } from "./pages/sign_in.js";

const NAVIGATION = [["runs", "Runs"], ["questions", "Questions"], ["workflows", "Workflows"]];

function App() {
  useChanges(session);
  useChanges(place);
  useEffect(() => void session.begin(), []);
  const page = session.status === "in" ? html`<${Page} />` : session.status === "out" ? html`<${SignIn} />`
    : session.status === "away" ? html`<main><${Problem} error=${session.error} retry=${() => session.begin()} /></main>` : html`<main></main>`;
  return html`<a class="skip" href="#app" onClick=${skip}>To the content</a><${Bar} />${page}<${MessageList} />`;
}

function Page() {
  const { path, query } = place.now;
  const [name = "runs", id, tab] = path;
  if (name === "runs" && id) return html`<${Run} key=${id} id=${id} tab=${tab} query=${query} />`;
  if (name === "compare" && id && tab) return html`<${Compare} key=${`${id} ${tab}`} ids=${[id, tab]} />`;
  if (name === "questions") return html`<${Questions} />`;
  if (name === "workflows" && id) return html`<${Workflow} key=${id} name=${id} />`;
  if (name === "workflows") return html`<${Workflows} />`;
  return html`<${Runs} query=${query} />`;
}

function Bar() {
  const [current = "runs"] = place.now.path;
  return html`<header class="bar">
    <a class="logo" href="#/runs"><img src=${new URL("./icon.svg", import.meta.url).href} alt="" width="20" height="20" /><span>Reactor</span></a>
    ${session.status === "in" && html`<nav aria-label="Pages">${NAVIGATION.map(([name, label]) => html`<a key=${name} href=${address([name])} aria-current=${current === name ? "page" : undefined}>${label}</a>`)}</nav>`}
    <span class="space"></span>
    ${session.status === "in" && session.hasToken && html`<span class="who dim" title="who the server takes you for">${session.principal?.id}</span><button class="quiet" onClick=${() => session.signOut()}>Sign out</button>`}
    <${Theme} />
  </header>`;
}

function Theme() {
  const [now, setNow] = useState(theme.now);
  const choose = (event) => {
    theme.set(event.target.value);
    setNow(event.target.value);
  };
  return html`<label class="theme"><span class="offscreen">Colours</span><select value=${now} onChange=${choose}><option value="">Auto</option><option value="light">Light</option><option value="dark">Dark</option></select></label>`;
}

function skip(event) {
  event.preventDefault();
  const main = document.querySelector("main");
  main.tabIndex = -1;
  main.focus();
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
