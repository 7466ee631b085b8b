// The colours that programs write into their output: `ESC [ … m`. Text in, pieces of text with names of classes out; every
// other control sequence is dropped. Never HTML.

const SEQUENCE = /\x1b\[([\d;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g;
const FLAGS = { 1: "bold", 2: "faint", 3: "italic", 4: "underline" };

/** @param {string} text @returns {{text: string, classes: string}[]} */
export function pieces(text) {
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(text)) return [{ text, classes: "" }];
  const found = [];
  let style = {};
  let from = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    add(found, text.slice(from, match.index), style);
    if (match[2] === "m") style = styled(style, match[1]);
    from = match.index + match[0].length;
  }
  add(found, text.slice(from), style);
  return found;
}

function add(found, text, style) {
  if (text) found.push({ text, classes: Object.values(style).join(" ") });
}

function styled(before, codes) {
  let style = { ...before };
  const list = codes.split(";").map(Number);
  for (let at = 0; at < list.length; at += 1) {
    const code = list[at];
    if (code === 0) style = {};
    else if (FLAGS[code]) style[FLAGS[code]] = `a-${FLAGS[code]}`;
    else if (code === 22) delete style.bold, delete style.faint;
    else if (code === 23) delete style.italic;
    else if (code === 24) delete style.underline;
    else if (code === 38 || code === 48) at += list[at + 1] === 5 ? 2 : 4; // of 256 and more colours: as the others
    else if (code === 39) delete style.color;
    else if (code >= 30 && code <= 37) style.color = `a-c${code - 30}`;
    else if (code >= 90 && code <= 97) style.color = `a-c${code - 90}`;
  }
  return style;
}

const LINK = /\bhttps?:\/\/[^\s<>"'`\u0000-\u001f]+[^\s<>"'`.,;:!?)\]}\u0000-\u001f]/g;

/** A text in pieces that are links and pieces that are not: `{text, href}`. Only http and https. */
export function links(text) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: match[0], href: match[0] });
    from = match.index + match[0].length;
  }
  if (from < text.length || !found.length) found.push({ text: text.slice(from) });
  return found;
}
