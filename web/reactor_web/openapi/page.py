"""``/docs``: a page that shows ``openapi.json``. It loads nothing from elsewhere."""

from __future__ import annotations

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reactor API</title>
<style>
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
  h2 { font-size: 1rem; margin: 2rem 0 .5rem; text-transform: capitalize; }
  details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .45rem .7rem; }
  summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: baseline; }
  summary b { min-width: 4rem; }
  code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
  pre { overflow: auto; background: var(--line); border-radius: 6px; padding: .6rem; white-space: pre-wrap; }
  table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
  td { border-top: 1px solid var(--line); padding: .3rem .5rem .3rem 0; vertical-align: top; }
  td:first-child { white-space: nowrap; width: 11rem; }
  a { color: inherit; }
</style>
<h1>Reactor API</h1>
<p id="about">Loading openapi.json …</p>
<main></main>
<script>
  const make = (tag, text, parent) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  };
  const name = (ref) => ref.split("/").pop();
  const shown = (schema) => JSON.stringify(schema, null, 2);
  const row = (table, key, text) => {
    const line = make("tr", undefined, table);
    make("code", key, make("td", undefined, line));
    make("td", text, line);
  };
  const schemaBlock = (title, contents, parent, schemas) => {
    for (const [media, { schema }] of Object.entries(contents ?? {})) {
      const box = make("details", undefined, parent);
      make("summary", `${title}: ${media}${schema.$ref ? " · " + name(schema.$ref) : ""}`, box);
      make("pre", shown(schema.$ref ? schemas[name(schema.$ref)] : schema), box);
    }
  };
  const show = (api) => {
    const { schemas, parameters } = api.components;
    document.getElementById("about").textContent = `Version ${api.info.version}. ${api.info.description}`;
    const groups = new Map();
    for (const [path, item] of Object.entries(api.paths))
      for (const [method, operation] of Object.entries(item)) {
        const tag = operation.tags[0];
        if (!groups.has(tag)) groups.set(tag, []);
        groups.get(tag).push([method, path, operation]);
      }
    const main = document.querySelector("main");
    for (const [tag, operations] of groups) {
      make("h2", tag, main);
      for (const [method, path, operation] of operations) {
        const box = make("details", undefined, main);
        box.id = operation.operationId;
        const head = make("summary", undefined, box);
        make("b", method.toUpperCase(), head);
        make("code", api.servers[0].url + path, head);
        make("span", operation.summary, head);
        const table = make("table", undefined, box);
        for (const { $ref } of operation.parameters ?? []) {
          const found = parameters[name($ref)];
          row(table, `${found.name} (${found.in})`, found.description);
        }
        schemaBlock("Body", operation.requestBody?.content, box, schemas);
        for (const [status, answer] of Object.entries(operation.responses))
          if (answer.content) schemaBlock(`${status} ${answer.description}`, answer.content, box, schemas);
          else make("p", `${status} ${answer.description}`, box);
      }
    }
    make("h2", "events", main);
    for (const { $ref } of [...schemas.Event.anyOf, ...schemas.Notice.anyOf]) {
      const schema = schemas[name($ref)];
      const box = make("details", undefined, main);
      const data = schema.properties?.data?.$ref;
      make("summary", schema.properties?.type?.const ?? "anything else", box);
      make("pre", shown(data ? schemas[name(data)] : schema), box);
    }
  };
  fetch("openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
    document.getElementById("about").textContent = `openapi.json could not be shown: ${error}`;
  });
</script>
</html>
"""
