// A JSON value as a tree that opens where somebody looks. Everything is text; of a large list a part is shown at a time.
import { html, useState } from "./ui.js";
import { Copy } from "./parts.js";
import { stringify } from "./client/json.js";

const AT_A_TIME = 100;
const LONG = 300;

export const Tree = ({ value, name, depth = 1 }) => html`<div class="tree"><${Node} value=${value} name=${name} depth=${depth} /></div>`;

function Node({ value, name, depth }) {
  const [isOpen, setOpen] = useState(depth > 0);
  const [most, setMost] = useState(AT_A_TIME);
  const label = name !== undefined && html`<span class="key">${name}</span>`;
  if (value === null || typeof value !== "object") return html`<div class="leaf">${label}<${Leaf} value=${value} /></div>`;
  const entries = Array.isArray(value) ? value.map((one, at) => [at, one]) : Object.entries(value);
  const sum = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  if (!entries.length) return html`<div class="leaf">${label}<span class="dim">${Array.isArray(value) ? "[]" : "{}"}</span></div>`;
  return html`<div class="branch">
    <button class="twist" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}><i aria-hidden="true">${isOpen ? "▾" : "▸"}</i>${label}<span class="dim">${sum}</span>${!isOpen && html`<span class="peek">${stringify(value).slice(0, 120)}</span>`}</button>
    ${isOpen && html`<div class="inside">${entries.slice(0, most).map(([key, one]) => html`<${Node} key=${key} name=${key} value=${one} depth=${depth - 1} />`)}
      ${entries.length > most && html`<button class="quiet small" onClick=${() => setMost(most + AT_A_TIME * 10)}>${entries.length - most} more</button>`}</div>`}
  </div>`;
}

function Leaf({ value }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value !== "string") return html`<span class="v-${value === null ? "null" : typeof value}">${String(value)}</span>`;
  const isLong = value.length > LONG;
  return html`<span class="v-string">${isLong && !isWhole ? `${value.slice(0, LONG)}…` : value}</span>
    ${isLong && html`<button class="quiet small" onClick=${() => setWhole(!isWhole)}>${isWhole ? "less" : `all ${value.length} characters`}</button>`}`;
}

/** A value with a heading and a button that copies it. */
export const Value = ({ title, value, depth = 2, note }) => html`<section class="value">
  <header><h2>${title}</h2>${note && html`<span class="dim">${note}</span>`}${value !== undefined && html`<${Copy} text=${() => stringify(value)} />`}</header>
  ${value === undefined ? html`<p class="dim">none</p>` : html`<${Tree} value=${value} depth=${depth} />`}
</section>`;
