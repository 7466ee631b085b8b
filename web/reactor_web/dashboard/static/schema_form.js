// A form from a JSON Schema: what a person can fill in without knowing JSON; for the rest a field of JSON.
import { html, useState } from "./ui.js";
import { parse, stringify } from "./client/json.js";

/** What stands behind a `$ref` into the same document. */
export function resolved(schema, root = schema) {
  let found = schema;
  for (let steps = 0; found?.$ref && steps < 10; steps += 1) {
    const { $ref: reference, ...beside } = found;
    const target = reference.replace(/^#\/?/, "").split("/").filter(Boolean)
      .reduce((place, part) => place?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    found = { ...target, ...beside };
  }
  return found ?? {};
}

/** How a schema is asked for: "object", "boolean", "enum", "number", "text" or "json". */
export function kindOf(given, root) {
  const schema = resolved(given, root);
  if (schema.enum || schema.const !== undefined) return "enum";
  if (schema.type === "object" && schema.properties && !schema.additionalProperties) return "object";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.type === "string") return "text";
  return "json";
}

/** `T | null`, as pydantic writes it: the schema of T; undefined for anything else. */
export function nullable(given, root) {
  const { anyOf = [] } = resolved(given, root);
  const others = anyOf.filter((one) => one.type !== "null");
  return anyOf.length === 2 && others.length === 1 ? others[0] : undefined;
}

/** With what a form begins. undefined: nothing has been chosen. */
export function initialOf(given, root) {
  const schema = resolved(given, root);
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (kindOf(given, root) !== "object") return undefined;
  const members = Object.entries(schema.properties).map(([name, inner]) => [name, initialOf(inner, root)]);
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}

/** What is wrong with a value, in one sentence; undefined if nothing is. The server checks the rest. */
export function missing(value, given, root, name = "the value") {
  const schema = resolved(given, root);
  if (value === undefined) return `${name} is missing`;
  if (kindOf(given, root) !== "object" || typeof value !== "object" || value === null) return undefined;
  for (const key of schema.required ?? []) {
    const found = missing(value[key], schema.properties?.[key] ?? {}, root, key);
    if (found) return found;
  }
  return undefined;
}

/** `change(value)` is called with undefined where a field is empty. */
export function SchemaField({ schema: given, root = given, value, change, name, label, isRequired = true }) {
  const inner = nullable(given, root);
  const schema = { ...resolved(given, root), ...(inner && resolved(inner, root)) };
  const kind = kindOf(schema, root);
  const id = `f-${name}`;
  const head = label && html`<label for=${id}>${schema.title && schema.title.toLowerCase() !== String(label).toLowerCase() ? `${label} · ${schema.title}` : label}${isRequired && !inner ? "" : html`<span class="dim"> optional</span>`}</label>`;
  const help = schema.description && html`<p class="help">${schema.description}</p>`;
  if (kind === "object") return html`<fieldset class="object">${label && html`<legend>${label}</legend>`}${help}
    ${Object.entries(schema.properties).map(([key, one]) => html`<${SchemaField} key=${key} name=${`${name}.${key}`} label=${key} schema=${one} root=${root}
      isRequired=${(schema.required ?? []).includes(key)} value=${value?.[key]} change=${(next) => change(withMember(value, key, next))} />`)}</fieldset>`;
  return html`<div class="schema-field">${head}${help}${input({ kind, id, schema, value, change })}</div>`;
}

function withMember(value, key, next) {
  const { [key]: _, ...others } = value ?? {};
  return next === undefined ? others : { ...others, [key]: next };
}

function input({ kind, id, schema, value, change }) {
  if (kind === "boolean") return html`<div class="choice" role="group" id=${id}>
    ${[true, false].map((one) => html`<button type="button" class="chip" aria-pressed=${value === one} onClick=${() => change(one)}>${one ? "Yes" : "No"}</button>`)}</div>`;
  if (kind === "enum") {
    const options = schema.enum ?? [schema.const];
    return html`<select id=${id} value=${options.findIndex((one) => stringify(one) === stringify(value))} onChange=${(event) => change(options[event.target.value])}>
      <option value="-1" disabled>choose</option>${options.map((one, at) => html`<option value=${at}>${typeof one === "string" ? one : stringify(one)}</option>`)}</select>`;
  }
  if (kind === "number") return html`<input id=${id} type="number" step=${schema.type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum} value=${value ?? ""}
    onInput=${(event) => change(event.target.value === "" ? undefined : Number(event.target.value))} />`;
  if (kind === "text") return schema.maxLength > 0 && schema.maxLength <= 100
    ? html`<input id=${id} value=${value ?? ""} maxlength=${schema.maxLength} onInput=${(event) => change(event.target.value)} />`
    : html`<textarea id=${id} rows="2" value=${value ?? ""} onInput=${(event) => change(event.target.value)}></textarea>`;
  return html`<${JsonField} id=${id} value=${value} change=${change} />`;
}

/** A field for any JSON; while it is none, nothing is chosen. */
export function JsonField({ id, value, change, rows = 3 }) {
  const [text, setText] = useState(value === undefined ? "" : stringify(value));
  const [problem, setProblem] = useState("");
  const take = (event) => {
    setText(event.target.value);
    try {
      change(event.target.value.trim() ? parse(event.target.value) : undefined);
      setProblem("");
    } catch {
      change(undefined);
      setProblem("this is not JSON");
    }
  };
  return html`<textarea id=${id} class="mono" rows=${rows} value=${text} placeholder="JSON" aria-invalid=${Boolean(problem)} onInput=${take} spellcheck="false"></textarea>
    ${problem && html`<p class="help bad">${problem}</p>`}`;
}
