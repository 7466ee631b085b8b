export { ReactorError } from "./request.js";
export { RemoteRun, Reactor, Schedule } from "./api.js";
export { Stream, follow } from "./follow.js";
export { evolve, initialState, progress } from "./fold.js";
