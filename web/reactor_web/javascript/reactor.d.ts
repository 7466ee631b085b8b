export { ReactorError } from "./request.js";
export { RemoteRun, Reactor } from "./api.js";
export { Stream, follow } from "./follow.js";
export { evolve, initialState, progress } from "./fold.js";
