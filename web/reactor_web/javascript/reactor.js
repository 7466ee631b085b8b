// The JavaScript client: follow runs live, start and control them. Browsers and Node >= 20, no dependency.
export { RemoteRun, Reactor, Schedule } from "./api.js";
export { Stream, follow } from "./follow.js";
export { evolve, initialState, progress } from "./fold.js";
export { ReactorError } from "./request.js";
