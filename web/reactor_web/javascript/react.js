// Hooks for React >= 18. They are live, and components that show the same share one stream.
export { useChat } from "./use_chat.js";
export { useRun } from "./use_run.js";
export { useRuns } from "./use_runs.js";
export { useWorkflowStream } from "./workflow_stream.js";

/** @typedef {import("./types.js").FollowOptions} FollowOptions */
/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").RunState} RunState */
/** @typedef {import("./types.js").TaskState} TaskState */
/** @typedef {import("./use_run.js").HookOptions} HookOptions */
/** @typedef {import("./use_run.js").OpenQuestion} OpenQuestion */
/** @typedef {import("./use_run.js").RunOptions} RunOptions */
/** @typedef {import("./use_run.js").RunShown} RunShown */
/** @typedef {import("./use_runs.js").ListShown} ListShown */
