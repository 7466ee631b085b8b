/**
 * An event of a run, as it is in the log. Integers beyond 2^53 in `data` are BigInts.
 */
export type RunEvent = {
    /**
     * 1, 2, 3 … in each run
     */
    seq: number;
    run_id: string;
    type: string;
    /**
     * ISO 8601, UTC
     */
    time: string;
    task_id?: string | undefined;
    task?: string | undefined;
    map_index?: number | undefined;
    attempt?: number | undefined;
    data: any;
};
/**
 * A question that a task asks and nobody has answered.
 */
export type Question = {
    prompt: any;
    /**
     * JSON Schema of the answer, or null
     */
    schema: any;
    key: string | null;
    expires?: string | undefined;
};
export type TaskState = {
    id: string;
    task: string;
    status: "pending" | "running" | "waiting" | "retrying" | "completed" | "failed" | "skipped" | "cancelled";
    attempt: number;
    seq: number;
    map_index?: number | undefined;
    started?: string | undefined;
    ended?: string | undefined;
    duration_ms?: number | undefined;
    progress?: number | undefined;
    message?: string | undefined;
    error?: any;
    reason?: string | undefined;
    because?: string | undefined;
    depends_on?: string[] | undefined;
    recoverable?: boolean | undefined;
    count?: number | undefined;
    tally?: Record<string, number> | undefined;
    failures?: number | undefined;
    retry?: {
        since: string;
        delay_ms: number;
    } | undefined;
    waiting?: Question[] | undefined;
    received?: [number, string | null][] | undefined;
    asked?: Record<string, [number, any]> | undefined;
    cancelling?: string | undefined;
    cost?: number | undefined;
    tokens?: number | bigint | undefined;
};
/**
 * The state of a run, with the names of the server's `run.state`.
 */
export type RunState = {
    run_id: string;
    seq: number;
    status: "pending" | "running" | "paused" | "cancelling" | "completed" | "failed" | "cancelled";
    workflow?: string | undefined;
    version?: string | undefined;
    started?: string | undefined;
    ended?: string | undefined;
    duration_ms?: number | undefined;
    total_tasks: number;
    running: number;
    completed: number;
    failed: number;
    skipped: number;
    cancelled: number;
    recoveries: number;
    reason?: string | undefined;
    error?: any;
    meta?: any;
    parent?: any;
    budget?: any;
    cost?: number | undefined;
    tokens?: number | bigint | undefined;
    warned?: string[] | undefined;
    exceeded?: string[] | undefined;
    children?: Record<string, any> | undefined;
    paused_at?: string | undefined;
    paused_ms?: number | undefined;
    downtime_ms?: number | undefined;
    maps?: number | undefined;
    upgraded?: number | undefined;
    least_progress?: number | undefined;
    session?: boolean | undefined;
    idle?: number | undefined;
    tasks: Record<string, TaskState>;
};
export type Status = "connecting" | "live" | "reconnecting" | "polling" | "ended" | "failed";
export type Gap = {
    from: number;
    to: number;
    reason: string;
    run_id?: string;
};
/**
 * How requests are made.
 */
export type RequestOptions = {
    /**
     * sent as `Authorization: Bearer`; a
     * function is asked again, with `refresh: true`, after a 401
     */
    token?: string | ((why: {
        refresh: boolean;
    }) => string | Promise<string>) | undefined;
    /**
     * asked for each stream, and sent as `ticket=`
     */
    ticket?: (() => string | Promise<string>) | undefined;
    headers?: Record<string, string> | undefined;
    credentials?: RequestCredentials | undefined;
    fetch?: typeof fetch | undefined;
    signal?: AbortSignal | undefined;
};
export type Clock = {
    /**
     * milliseconds
     */
    now: () => number;
    setTimeout: (call: () => void, ms: number) => any;
    clearTimeout: (timer: any) => void;
};
export type OwnFollowOptions = {
    /**
     * the last seq that was seen before; there is no folded state then
     */
    after?: number | undefined;
    /**
     * begin with the state as it is, without the events that led to it
     */
    snapshot?: boolean | undefined;
    /**
     * globs: which events `onEvent` and the iterator get; the state sees all of them
     */
    types?: string[] | undefined;
    /**
     * seconds; a connection that is silent three times as long counts as dead
     */
    heartbeat?: number | undefined;
    /**
     * seconds that a page is waited for where streams do not get through; 25
     */
    pollWait?: number | undefined;
    /**
     * seconds to wait for a run that does not exist yet
     */
    awaitRun?: number | undefined;
    /**
     * more options of the stream; with `types` or `tasks` there is no state
     */
    query?: Record<string, string | number> | undefined;
    /**
     * attempts in a row that brought nothing, then the stream has failed; without it never
     */
    maxFailures?: number | undefined;
    onEvent?: ((event: RunEvent) => void) | undefined;
    onState?: ((state: RunState, event: RunEvent | undefined) => void) | undefined;
    onStatus?: ((status: Status, detail?: any) => void) | undefined;
    onGap?: ((gap: Gap) => void) | undefined;
    /**
     * the stream has failed
     */
    onError?: ((error: Error) => void) | undefined;
    clock?: Clock | undefined;
    random?: (() => number) | undefined;
};
export type FollowOptions = RequestOptions & OwnFollowOptions;
