// Folds runs to chats: each line of stdin is a list of events as text. Prints a list of parts for each line:
//   all    the parts after each event; every chat is frozen, so a fold that changes what it was given throws
//   rests  the parts at the end, of each chat of `all` going on with the events that were left
//   last   the parts after the last event
import { createInterface } from "node:readline";
import { evolveChat, initialChat } from "../../web/reactor_web/javascript/chat.js";
import { parse, stringify } from "../../web/reactor_web/javascript/json.js";

const [mode] = process.argv.slice(2);

function freeze(value) {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

function fold(events) {
  if (mode === "last") return [events.reduce(evolveChat, initialChat())];
  let chat = freeze(initialChat());
  return events.map((event) => (chat = freeze(evolveChat(chat, freeze(event)))));
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const events = parse(line).map(parse);
  const chats = fold(events);
  const shown = mode === "rests" ? chats.map((chat, at) => events.slice(at + 1).reduce(evolveChat, chat)) : chats;
  console.log(`[${shown.map((chat) => stringify(chat.parts)).join(",")}]`);
}
