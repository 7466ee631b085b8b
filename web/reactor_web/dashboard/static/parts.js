// Small parts of pages: badges, messages, buttons that ask once, and what is copied.
import { html, useEffect, useRef, useState } from "./ui.js";
import { Changes, useChanges } from "./ui.js";
import { session } from "./session.js";

const WORDS = {
  connecting: "connecting", live: "live", reconnecting: "reconnecting", polling: "polling", ended: "ended", failed: "lost",
};

/** Whether what is shown is up to date. */
export const Connection = ({ status, detail }) => html`
  <span class="connection c-${status}" title=${detail?.message ?? ""} role="status"><i aria-hidden="true"></i>${WORDS[status] ?? status}</span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children}</div>`;

export const Problem = ({ error, retry }) => html`
  <div class="problem" role="alert">
    <strong>${error.status === 404 ? "There is no such thing here" : error.status === 403 ? "You may not see this" : "That did not work"}</strong>
    <p>${error.message}</p>${retry && html`<button onClick=${retry}>Try again</button>`}
  </div>`;

export const Loading = ({ what = "Loading" }) => html`<p class="loading" role="status">${what} …</p>`;

// --- messages ---

class Messages extends Changes {
  list = [];
  #next = 1;

  say(text, { isBad = false, href } = {}) {
    const id = this.#next++;
    this.list = [...this.list.slice(-3), { id, text, isBad, href }];
    this.touch();
    setTimeout(() => this.drop(id), isBad ? 12_000 : 6_000);
  }

  drop(id) {
    this.list = this.list.filter((message) => message.id !== id);
    this.touch();
  }
}

export const messages = new Messages();

export function MessageList() {
  useChanges(messages);
  return html`<div class="messages" aria-live="polite">${messages.list.map((message) => html`
    <p key=${message.id} class=${message.isBad ? "bad" : ""}>
      <span>${message.text}${message.href && html` <a href=${message.href}>show</a>`}</span>
      <button class="quiet" aria-label="Dismiss" onClick=${() => messages.drop(message.id)}>×</button>
    </p>`)}</div>`;
}

/** Does it and says what became of it. Returns whether it worked. */
export async function attempt(what, act, href) {
  try {
    const answer = await act();
    const seq = answer?.seq ? `, event ${answer.seq}` : "";
    messages.say(`${what}${seq}`, { href: href?.(answer) });
    return true;
  } catch (error) {
    session.told(error);
    messages.say(error.message, { isBad: true });
    return false;
  }
}

/** A button that asks once before it acts: in a box under it, which Escape closes. */
export function Ask({ label, question, act, kind = "", confirm = label, children, title }) {
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const box = useRef(null);
  const button = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    box.current?.querySelector("input,textarea,button.main")?.focus();
    const close = (event) => !box.current?.parentNode.contains(event.target) && setOpen(false);
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, [isOpen]);
  const leave = () => {
    setOpen(false);
    button.current?.focus();
  };
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const isDone = await act(new FormData(event.target));
    setBusy(false);
    if (isDone !== false) leave();
  };
  return html`<span class="ask">
    <button ref=${button} class=${kind} title=${title} aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${label}</button>
    ${isOpen && html`<form class="box" ref=${box} onSubmit=${submit} onKeyDown=${(event) => event.key === "Escape" && leave()} aria-label=${question}>
      <p>${question}</p>${children}
      <div class="row"><button type="button" onClick=${leave}>Back</button><button class="main ${kind}" disabled=${isBusy}>${confirm}</button></div>
    </form>`}
  </span>`;
}

/** Copies a text; without the clipboard of a secure page, by a selection. */
export async function copy(text) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else bySelection(text);
    messages.say("copied");
  } catch {
    messages.say("the browser does not let this page copy", { isBad: true });
  }
}

function bySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("not copied");
}

export const Copy = ({ text, label = "Copy" }) => html`<button class="quiet small" onClick=${() => copy(typeof text === "function" ? text() : text)}>${label}</button>`;
