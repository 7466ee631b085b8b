// A line of text that a program has said: with its colours, and links that lead out.
import { html } from "./ui.js";
import { links, pieces } from "./ansi.js";

export const Said = ({ text }) => pieces(text).map(({ text: part, classes }) => html`<span class=${classes}>${links(part).map(({ text: shown, href }) =>
  (href ? html`<a href=${href} target="_blank" rel="noopener noreferrer">${shown}</a>` : shown))}</span>`);
