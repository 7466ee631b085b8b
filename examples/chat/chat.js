// The page. Each turn is a run on the server: its events make the turn, however often the connection is lost on the
// way. All that the page keeps is the ids of its runs, in localStorage. Text only gets into the page as text.
import { evolveChat, initialChat } from "/api/v1/client/chat.js";
import { Reactor } from "/api/v1/client/reactor.js";

const KEPT = "reactor.chat";
const MOST_TURNS = 100;
const MOST_MESSAGES = 40;
const MOST_CHARS = 20_000;
const ENDED = ["completed", "failed", "cancelled", "unsent", "lost"];

const api = new Reactor("/api/v1");
const at = (id) => document.getElementById(id);
const [scroller, turnsBox, empty, composer, message] = ["scroller", "turns", "empty", "composer", "message"].map(at);
const money = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumFractionDigits: 6 });

/** @type {Turn[]} */
let turns = [];

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function button(className, text, onClick) {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

const inBrief = (value) => (Object(value) === value ? Object.values(value) : [value]).map(asText).join(", ").slice(0, 200);
const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, undefined, 2));

// --- what a turn is made of: each part has an element, and a way to show what has become of the part ---

const views = {
  text() {
    const element = make("p", "text");
    const node = element.appendChild(new Text());
    return {
      element,
      show({ text }) {
        if (text.startsWith(node.data)) node.appendData(text.slice(node.length));
        else node.data = text;
      },
    };
  },

  tool() {
    const element = make("details", "tool");
    const head = element.appendChild(make("summary", ""));
    const [name, brief, state] = [make("span", "name"), make("span", "brief"), make("span", "state")];
    head.append(name, brief, state);
    const inside = element.appendChild(make("div", "inside"));
    const [given, result, title] = [make("pre", ""), make("pre", ""), make("h3", "")];
    inside.append(make("h3", "", "Arguments"), given, title, result);
    const words = { running: "working …", success: "done", error: "failed", cancelled: "stopped" };
    return {
      element,
      show(part) {
        element.dataset.status = part.status;
        name.textContent = part.name;
        brief.textContent = inBrief(part.arguments);
        const took = part.duration_ms === undefined ? "" : ` · ${(part.duration_ms / 1000).toFixed(1)} s`;
        state.textContent = words[part.status] + took;
        given.textContent = asText(part.arguments);
        title.textContent = part.error ? "Error" : "Result";
        result.textContent = part.error ? part.error.message : asText(part.result) ?? "…";
      },
    };
  },

  question(turn) {
    const element = make("div", "question");
    element.setAttribute("role", "group");
    element.tabIndex = -1;
    const [prompt, outcome, problem] = [make("p", ""), make("p", "outcome"), make("p", "problem")];
    const choice = make("div", "choice");
    const id = (prompt.id = `prompt-${turn.id}-${(turn.questions += 1)}`);
    element.setAttribute("aria-labelledby", id);
    problem.setAttribute("role", "alert");
    let asked;
    const decide = async (value) => {
      element.focus(); // a button that is disabled loses the focus, and the keyboard would begin at the top
      for (const one of choice.children) one.disabled = true;
      problem.textContent = "";
      try {
        await turn.run.send(asked.task, value, { key: asked.key }); // the key: a double click answers no other question
      } catch (error) {
        if (asked.status !== "open") return; // somebody else was faster, and the outcome says what was decided
        problem.textContent = error.message;
        for (const one of choice.children) one.disabled = false;
      }
    };
    choice.append(button("strong", "Approve", () => decide(true)), button("", "Deny", () => decide(false)));
    element.append(prompt, outcome, problem, choice);
    const words = { open: "", answered: "", expired: "nobody answered in time", withdrawn: "not asked any more" };
    return {
      element,
      show(part) {
        asked = part;
        const isOpen = part.status === "open";
        element.dataset.status = part.status;
        if (part.status === "answered") element.dataset.answer = part.value;
        prompt.textContent = part.prompt ?? "Go on?";
        outcome.textContent = part.status === "answered" ? (part.value ? "✓ approved" : "✗ denied") : words[part.status];
        problem.textContent = part.problem ?? "";
        outcome.hidden = !outcome.textContent;
        choice.hidden = !isOpen;
        if (isOpen) say(`Your approval is needed: ${prompt.textContent}`);
      },
    };
  },
};

// --- a turn ---

class Turn {
  chat = initialChat();
  status = "pending";
  connection = "connecting";
  problem = "";
  questions = 0;
  /** Whether it ended before the eyes of whoever reads this. */
  isNew = false;
  /** @type {{part: any, view: any}[]} */
  shown = [];

  /** @param {string} id @param {any} [input] of a run of which nobody knows yet whether the server has it */
  constructor(id, input) {
    this.id = id;
    this.input = input;
    this.asked = input?.messages.at(-1).content ?? "";
    this.element = make("article", "turn");
    this.mine = make("p", "mine");
    this.parts = make("div", "parts");
    this.foot = make("div", "foot");
    this.element.append(this.mine, this.parts, this.foot);
  }

  get run() {
    return api.run(this.id);
  }

  get hasEnded() {
    return ENDED.includes(this.status);
  }

  /** What was said in it, as text. */
  get answer() {
    return this.chat.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n");
  }

  /** Sends it, if that must be done, and follows it. A run is started by PUT, so to send it twice starts it once. */
  async begin() {
    this.status = "pending";
    this.problem = "";
    draw(this);
    if (this.input) {
      try {
        await api.start("chat", this.input, { id: this.id });
      } catch (error) {
        this.status = "unsent";
        this.problem = `Not sent: ${error.message}`;
        return draw(this);
      }
      this.input = undefined;
      keep();
    }
    this.follow();
  }

  follow() {
    this.stream = this.run.follow({
      heartbeat: 5,
      onEvent: (event) => this.take(event),
      onStatus: (status) => {
        this.connection = status;
        draw(this);
      },
      onGap: ({ reason }) => {
        if (reason !== "ahead" && reason !== "rewound") return;
        this.chat = initialChat(); // the server has lost what it said, and says it anew
        draw(this);
      },
      onError: (error) => {
        this.status = "lost";
        this.problem = error.message;
        draw(this);
      },
    });
  }

  take(event) {
    if (event.type === "run.started") this.began(event.data);
    const wasOpen = !this.hasEnded;
    this.chat = evolveChat(this.chat, event);
    this.status = this.stream.state?.status ?? this.status;
    this.problem = this.stream.state?.error?.message ?? "";
    if (wasOpen && this.hasEnded && this.isNew) say(this.status === "completed" ? "The answer is complete." : "Stopped.");
    draw(this);
  }

  /** @param {any} data of `run.started`; a long conversation is stored beside it */
  async began(data) {
    try {
      const input = data.input ?? (await this.run.get()).input;
      this.asked = input.messages?.at(-1)?.content ?? "";
    } catch (error) {
      this.asked = `(${error.message})`;
    }
    draw(this);
  }

  async stop() {
    await this.run.cancel({ reason: "stopped in the page" });
  }

  /** A failed turn once more, as a new run in its place. */
  async again() {
    if (this.input) return this.begin();
    try {
      this.id = (await this.run.retry()).id;
    } catch (error) {
      this.problem = error.message;
      return draw(this);
    }
    keep();
    this.chat = initialChat();
    this.begin();
  }

  show() {
    this.element.dataset.status = this.status;
    this.element.setAttribute("aria-busy", String(!this.hasEnded));
    this.mine.textContent = this.asked;
    this.mine.hidden = !this.asked;
    this.chat.parts.forEach((part, index) => this.showPart(part, index));
    for (const { view } of this.shown.splice(this.chat.parts.length)) view.element.remove();
    this.showFoot();
  }

  showPart(part, index) {
    const known = this.shown[index];
    if (known?.part === part) return;
    const isSame = known && ["type", "task", "attempt", "call", "key"].every((name) => known.part[name] === part[name]);
    const view = isSame ? known.view : views[part.type](this);
    if (!isSame) {
      if (known) known.view.element.replaceWith(view.element);
      else this.parts.append(view.element);
    }
    view.show(part);
    this.shown[index] = { part, view };
  }

  showFoot() {
    const words = {
      pending: "…", running: "writing …", paused: "paused", cancelling: "stopping …", cancelled: "stopped",
      failed: `It failed: ${this.problem}`, unsent: this.problem, lost: this.problem,
    };
    const asks = this.chat.parts.some((part) => part.status === "open" && !this.hasEnded);
    const { cost, tokens, duration_ms: took } = this.stream?.state ?? {};
    const isEmpty = this.status === "completed" && !this.chat.parts.length;
    const word = asks ? "waits for your decision" : isEmpty ? "there was no answer" : words[this.status];
    const numbers = [
      tokens && `${tokens} tokens`, cost && money.format(cost), this.hasEnded && took && `${(took / 1000).toFixed(1)} s`,
    ];
    const figures = numbers.filter(Boolean).join(" · ");
    const text = [word, figures].filter(Boolean).join(" · ");
    const canRepeat = this.status === "failed" || this.status === "unsent";
    if (this.foot.dataset.text === text && Boolean(this.foot.querySelector("button")) === canRepeat) return;
    this.foot.dataset.text = text;
    const line = make("p", "");
    line.append(make("span", "word", word ?? ""), word && figures ? " · " : "", figures);
    this.foot.replaceChildren(line);
    if (canRepeat) this.foot.append(button("quiet", "Try again", () => this.again()));
  }
}

// --- the page ---

/** @type {Set<Turn>} */
const changed = new Set();
let isDue = false;
let sticks = true;

/** Shows a turn anew, at most once a frame. @param {Turn} turn */
function draw(turn) {
  changed.add(turn);
  if (isDue) return;
  isDue = true;
  if (document.hidden) setTimeout(drawAll, 250);
  else requestAnimationFrame(drawAll);
}

function drawAll() {
  isDue = false;
  for (const turn of changed) if (turns.includes(turn)) turn.show();
  changed.clear();
  showPage();
}

function showPage() {
  const busy = turns.find((turn) => !turn.hasEnded);
  const status = busy ? busy.connection : "ready";
  at("status").dataset.status = status;
  at("status").textContent = status;
  const cost = turns.reduce((sum, turn) => sum + Number(turn.stream?.state?.cost ?? 0), 0);
  at("total").textContent = cost ? money.format(cost) : "";
  empty.hidden = turns.length > 0;
  at("new").disabled = Boolean(busy) || !turns.length;
  const hadFocus = document.activeElement === at("stop");
  at("send").hidden = Boolean(busy);
  at("stop").hidden = !busy;
  at("stop").disabled = busy?.status === "cancelling" || Boolean(busy?.input);
  if (hadFocus && !busy) message.focus();
  if (sticks) scroller.scrollTop = scroller.scrollHeight;
}

/** For screen readers. @param {string} text */
function say(text) {
  at("spoken").textContent = text;
}

/** @param {string} text */
function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

// --- what is kept ---

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(found) ? found.filter(({ id }) => typeof id === "string") : [];
  } catch {
    return []; // not allowed, or not ours: the conversation lasts as long as the page
  }
}

function keep() {
  try {
    const list = turns.slice(-MOST_TURNS).map(({ id, input }) => ({ id, input }));
    localStorage.setItem(KEPT, JSON.stringify(list));
  } catch (error) {
    complain(`The conversation is not kept in this browser: ${error.message}`);
  }
}

/** Shows what is kept: after a reload, and when another tab has gone on. */
function restore() {
  const found = kept();
  const known = new Set(turns.map((turn) => turn.id));
  if (turns.length && found[0]?.id !== turns[0].id) clear();
  for (const { id, input } of found) if (!known.has(id)) add(new Turn(id, input));
  showPage();
}

function clear() {
  for (const turn of turns) turn.stream?.close();
  turns = [];
  turnsBox.replaceChildren();
}

/** @param {Turn} turn */
function add(turn) {
  turns.push(turn);
  turnsBox.append(turn.element);
  turn.begin();
}

/** @param {string} text */
function send(text) {
  restore();
  if (turns.some((turn) => !turn.hasEnded)) return;
  const said = turns.flatMap((turn) => [
    { role: "user", content: turn.asked },
    { role: "assistant", content: turn.answer.slice(0, MOST_CHARS) || "(nothing)" },
  ]);
  const messages = [...said.slice(-MOST_MESSAGES), { role: "user", content: text }];
  const bytes = crypto.getRandomValues(new Uint8Array(12)); // randomUUID is missing on plain http
  const turn = new Turn(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""), { messages });
  turn.isNew = true;
  message.value = "";
  fit();
  complain("");
  sticks = true;
  add(turn);
  keep();
}

function fit() {
  message.rows = Math.min(6, message.value.split("\n").length);
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (text) send(text);
  message.focus();
});
message.addEventListener("input", fit);
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
at("stop").addEventListener("click", async () => {
  const busy = turns.find((turn) => !turn.hasEnded);
  at("stop").disabled = true;
  try {
    await busy?.stop();
    complain("");
  } catch (error) {
    if (!busy?.hasEnded) complain(error.message);
    showPage();
  }
});
at("new").addEventListener("click", () => {
  clear();
  keep();
  complain("");
  showPage();
  message.focus();
});
for (const idea of document.querySelectorAll(".idea")) idea.addEventListener("click", () => send(idea.textContent));
scroller.addEventListener("scroll", () => {
  sticks = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
});
addEventListener("storage", (event) => {
  if (event.key === KEPT || event.key === null) restore();
});

restore();
if (matchMedia("(hover: hover)").matches) message.focus(); // a phone would cover the page with its keyboard
