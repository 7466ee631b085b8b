// A run as a chat: what its tasks say, which tools they call, what they ask. Pure: an event gives a new chat.

/**
 * @typedef {object} TextPart
 * @property {"text"} type
 * @property {string} task
 * @property {number} attempt
 * @property {string} text
 *
 * @typedef {object} ToolPart
 * @property {"tool"} type
 * @property {string} task
 * @property {number} attempt
 * @property {number} call
 * @property {string} name
 * @property {any} arguments
 * @property {"running"|"success"|"error"|"cancelled"} status
 * @property {any} [result]
 * @property {any} [error]
 * @property {number} [duration_ms]
 *
 * @typedef {object} QuestionPart
 * @property {"question"} type
 * @property {string} task
 * @property {number} attempt the one that asked it last
 * @property {string | null} key
 * @property {string | null} prompt
 * @property {any} schema
 * @property {"open"|"answered"|"expired"|"withdrawn"} status
 * @property {any} [value]
 * @property {string} [problem] why the last value was rejected
 * @property {string} [expires]
 * @property {number[]} place how many characters and calls of its task stood before it
 *
 * @typedef {TextPart | ToolPart | QuestionPart} Part
 * @typedef {{parts: Part[], early: {task: string, seq: number, value: any}[]}} Chat
 *   `early`: values that came before their question
 */

const MOST_PARTS = 5000;
const MOST_EARLY = 1000;
const MOST_CHARS = 1_000_000;

/** @returns {Chat} */
export const initialChat = () => ({ parts: [], early: [] });

/**
 * The chat after an event. A new attempt takes back what the last one said and called, but no question.
 * @param {Chat} chat
 * @param {import("./types.js").RunEvent} event
 * @returns {Chat} the same object where nothing has changed
 */
export function evolveChat(chat, event) {
  const { type, task_id: task, attempt = 0 } = event;
  if (task === undefined) return type.startsWith("run.") ? ended(chat, type) : chat;
  const change = Object.hasOwn(CHANGES, type) && CHANGES[type];
  if (!change) return chat;
  const isLeft = (/** @type {Part} */ part) =>
    part.task !== task || part.type === "question" || part.attempt >= attempt;
  const kept = chat.parts.every(isLeft) ? chat : { ...chat, parts: chat.parts.filter(isLeft) };
  const next = change(kept, /** @type {any} */ (event));
  return next.parts.length > MOST_PARTS ? { ...next, parts: next.parts.slice(-MOST_PARTS) } : next;
}

/** @typedef {{type: string, seq: number, task_id: string, attempt: number, data: any}} TaskEvent */

/** @type {Record<string, (chat: Chat, event: TaskEvent) => Chat>} */
const CHANGES = {
  "task.started": (chat) => chat,
  "task.chunk": (chat, { task_id, attempt, data }) => say(chat, task_id, attempt, data.text),
  "tool.call.started": call,
  "tool.call.completed": call,
  "task.waiting": ask,
  "task.received": (chat, { seq, task_id, data: { key, value } }) => {
    const next = replace(chat, (part) => isOpen(part, task_id, key), { status: "answered", value });
    if (next !== chat) return next;
    return { ...chat, early: [...chat.early, { task: task_id, seq, value }].slice(-MOST_EARLY) };
  },
  "task.expired": close,
  "task.withdrawn": close,
  "task.completed": settle,
  "task.failed": settle,
  "task.cancelled": settle,
};

/** @param {Part} part @param {string} task @param {string | null} key @returns {part is QuestionPart} */
const isQuestion = (part, task, key) => part.type === "question" && part.task === task && part.key === key;
/** @param {Part} part @param {string} task @param {string | null} key */
const isOpen = (part, task, key) => isQuestion(part, task, key) && part.status === "open";

/** @param {Chat} chat @param {(part: Part) => boolean} which @param {any} change @returns {Chat} */
function replace(chat, which, change) {
  if (!chat.parts.some(which)) return chat;
  return { ...chat, parts: chat.parts.map((part) => (which(part) ? { ...part, ...change } : part)) };
}

/** @param {Chat} chat @param {number} at @param {Part} part @param {number} [instead] @returns {Chat} */
const put = (chat, at, part, instead = 0) => ({ ...chat, parts: chat.parts.toSpliced(at, instead, part) });

/** How many characters a task has said and calls it has made. @param {Chat} chat @param {string} task */
function placeIn({ parts }, task) {
  const place = [0, 0];
  for (const part of parts) {
    if (part.task !== task) continue;
    if (part.type === "text") place[0] += part.text.length;
    if (part.type === "tool") place[1] += 1;
  }
  return place;
}

/**
 * Where a task goes on: at the end, or before a question that stood later in its last attempt. It is answered,
 * so it is not asked again.
 * @param {Chat} chat @param {string} task @param {(place: number[]) => boolean} isLater
 */
function whereTo({ parts }, task, isLater) {
  const at = parts.findIndex((part) => part.type === "question" && part.task === task && isLater(part.place));
  return at < 0 ? parts.length : at;
}

/** @param {Chat} chat @param {string} task @param {number} attempt @param {string} text @returns {Chat} */
function say(chat, task, attempt, text) {
  if (!text) return chat;
  const [said] = placeIn(chat, task);
  const at = whereTo(chat, task, ([chars]) => chars > said);
  const question = /** @type {QuestionPart | undefined} */ (chat.parts[at]);
  let cut = question ? question.place[0] - said : text.length;
  if (/[\uDC00-\uDFFF]/.test(text[cut])) cut += 1; // not inside of a character
  const last = chat.parts.findLastIndex((part, index) => index < at && part.task === task);
  const before = chat.parts[last];
  const now = (before?.type === "text" ? before.text : "") + text.slice(0, cut);
  const part = /** @type {TextPart} */ ({ type: "text", task, attempt, text: now.slice(-MOST_CHARS) });
  const next = before?.type === "text" ? put(chat, last, part, 1) : put(chat, at, part);
  return say(next, task, attempt, text.slice(cut));
}

/** @param {Chat} chat @param {TaskEvent} event */
function call(chat, { task_id: task, attempt, data: { tool: name, ...data } }) {
  const part = /** @type {ToolPart} */ ({ type: "tool", task, attempt, name, status: "running", ...data });
  const isIt = (/** @type {any} */ one) => one.type === "tool" && one.task === task && one.call === part.call;
  const known = chat.parts.findIndex(isIt);
  if (known >= 0) return put(chat, known, part, 1);
  return put(chat, whereTo(chat, task, (place) => place[1] >= part.call), part);
}

/** @param {Chat} chat @param {TaskEvent} event */
function ask(chat, { task_id: task, attempt, data }) {
  const { key, prompt, schema, answered, problem, expires } = data;
  const at = chat.parts.findIndex((part) => isQuestion(part, task, key));
  const known = /** @type {QuestionPart | undefined} */ (chat.parts[at]);
  const sent = chat.early.find((value) => value.task === task && value.seq === answered);
  const part = /** @type {QuestionPart} */ ({
    type: "question", task, attempt, key, prompt, schema,
    status: answered === undefined ? "open" : "answered",
    ...(sent && { value: sent.value }),
    ...(problem !== undefined && { problem }),
    ...(expires && { expires }),
    place: known?.attempt === attempt ? known.place : placeIn(chat, task),
  });
  if (known?.attempt === attempt) return put(chat, at, part, 1);
  const others = known ? chat.parts.toSpliced(at, 1) : chat.parts;
  return { parts: [...others, part], early: chat.early.filter((value) => value !== sent) };
}

/** @param {Chat} chat @param {TaskEvent} event */
function close(chat, { type, task_id, data }) {
  // a body may give up a question whose answer has just come
  const isIt = type === "task.withdrawn" ? isQuestion : isOpen;
  return replace(chat, (part) => isIt(part, task_id, data.key), { status: type.slice(5), value: undefined });
}

/** A task that has ended asks nothing any more. @param {Chat} chat @param {{task_id?: string}} event */
function settle(chat, { task_id: task }) {
  const isOf = (/** @type {{task: string}} */ one) => task === undefined || one.task === task;
  const asks = replace(chat, (part) => isOf(part) && isAt(part, "question", "open"), { status: "withdrawn" });
  const calls = replace(asks, (part) => isOf(part) && isAt(part, "tool", "running"), { status: "cancelled" });
  return calls.early.some(isOf) ? { ...calls, early: calls.early.filter((value) => !isOf(value)) } : calls;
}

/** @param {Part} part @param {string} type @param {string} status */
const isAt = (part, type, status) => part.type === type && /** @type {any} */ (part).status === status;

/** @param {Chat} chat @param {string} type */
const ended = (chat, type) => (/\.(completed|failed|cancelled)$/.test(type) ? settle(chat, {}) : chat);
