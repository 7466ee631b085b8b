/** 24 letters and digits that nobody else has. (`randomUUID` is missing on plain http.) */
export function randomId(): string;
export class Reactor {
    /**
     * @param {string} [base] where the routes are mounted; of a server alone, `/api/v1` is added
     * @param {RequestOptions} [options]
     */
    constructor(base?: string, options?: RequestOptions);
    base: string;
    options: import("./types.js").RequestOptions;
    /** The handle of a run; asks nothing. A TypeError for what cannot be the id of one. @param {string} id */
    run(id: string): RemoteRun;
    /**
     * Starts a run. The same request again is the same run, so it is tried again where the answer was lost.
     * @param {string} workflow
     * @param {any} [input]
     * @param {{id?: string, meta?: any, budget?: Budget}} [options]
     */
    start(workflow: string, input?: any, { id, meta, budget, ...unknown }?: {
        id?: string;
        meta?: any;
        budget?: Budget;
    }): Promise<RemoteRun>;
    /**
     * Starts a run of a plan: tasks as data, over the tools of the server.
     * @param {any[]} tasks
     * @param {{name?: string, id?: string, meta?: any, budget?: Budget}} [options]
     */
    startPlan(tasks: any[], { name, id, meta, budget, ...unknown }?: {
        name?: string;
        id?: string;
        meta?: any;
        budget?: Budget;
    }): Promise<RemoteRun>;
    /**
     * Opens a session: a run whose events come from outside (`emit`, `end`).
     * @param {string} [id]
     * @param {{meta?: any, budget?: Budget, idle?: number}} [options]
     */
    session(id?: string, { meta, budget, idle, ...unknown }?: {
        meta?: any;
        budget?: Budget;
        idle?: number;
    }): Promise<RemoteRun>;
    /**
     * One page of runs, the newest first: `{runs, cursor}`.
     * @param {{status?: string, workflow?: string, since?: string, until?: string, parent?: string, root?: string, question?: 1, open?: 1, recoverable?: "false", limit?: number, cursor?: string} & {[meta: `meta.${string}`]: string}} [filter]
     * @returns {Promise<{runs: any[], cursor: string | null}>}
     */
    list(filter?: {
        status?: string;
        workflow?: string;
        since?: string;
        until?: string;
        parent?: string;
        root?: string;
        question?: 1;
        open?: 1;
        recoverable?: "false";
        limit?: number;
        cursor?: string;
    } & {
        [meta: `meta.${string}`]: string;
    }): Promise<{
        runs: any[];
        cursor: string | null;
    }>;
    /**
     * One page of the open questions of all runs: `{questions, cursor}`.
     * @param {{workflow?: string, limit?: number, cursor?: string} & {[meta: `meta.${string}`]: string}} [filter]
     * @returns {Promise<{questions: any[], cursor: string | null}>}
     */
    questions(filter?: {
        workflow?: string;
        limit?: number;
        cursor?: string;
    } & {
        [meta: `meta.${string}`]: string;
    }): Promise<{
        questions: any[];
        cursor: string | null;
    }>;
    /** The definitions of all workflows. @returns {Promise<any>} */
    workflows(): Promise<any>;
    /** How long its last completed runs took. @param {string} name @param {number} [runs] @returns {Promise<any>} */
    durations(name: string, runs?: number): Promise<any>;
    /** One page of schedules: `{schedules, cursor}`. @param {{limit?: number, cursor?: string}} [page] @returns {Promise<any>} */
    schedules(page?: {
        limit?: number;
        cursor?: string;
    }): Promise<any>;
    /** One schedule; asks nothing. @param {string} name */
    schedule(name: string): Schedule;
    /** @param {string} id @returns {Promise<any>} what `GET /runs/{id}` answers */
    get(id: string): Promise<any>;
    /**
     * One request. A change has an `Idempotency-Key`; it is sent again where its answer was lost.
     * @param {string} method
     * @param {string} path
     * @param {any} [body]
     * @returns {Promise<any>}
     */
    send(method: string, path: string, body?: any): Promise<any>;
    #private;
}
/** A schedule of a server: it starts runs of a workflow at the times of a rule. */
export class Schedule {
    /** @param {Reactor} api @param {string} name */
    constructor(api: Reactor, name: string);
    api: Reactor;
    path: string;
    /** @returns {Promise<any>} what `GET /schedules/{name}` answers */
    get(): Promise<any>;
    /**
     * Makes it, or gives it another rule: `cron` and `tz`, or `every` in seconds.
     * @param {{workflow: string, cron?: string, tz?: string, every?: number, input?: any, overlap?: "skip" | "queue" | "allow", catch_up?: "one" | "all" | "none"}} rule
     * @returns {Promise<any>}
     */
    put(rule: {
        workflow: string;
        cron?: string;
        tz?: string;
        every?: number;
        input?: any;
        overlap?: "skip" | "queue" | "allow";
        catch_up?: "one" | "all" | "none";
    }): Promise<any>;
    /** It starts nothing until it is resumed. @returns {Promise<any>} */
    pause(): Promise<any>;
    /** It goes on with its next time. @returns {Promise<any>} */
    resume(): Promise<any>;
    /** Starts a run of it now. @returns {Promise<RemoteRun>} */
    trigger(): Promise<RemoteRun>;
    /** Its runs stay. @returns {Promise<any>} */
    remove(): Promise<any>;
}
/** A run on a server. */
export class RemoteRun {
    /** @param {Reactor} api @param {string} id */
    constructor(api: Reactor, id: string);
    api: Reactor;
    id: string;
    path: string;
    url: string;
    /** @param {import("./types.js").FollowOptions} [options] */
    follow(options?: import("./types.js").FollowOptions): import("./follow.js").Stream;
    /**
     * Its folded state, input, graph; after the end `outputs` or `error`.
     * @param {number} [at] only the state, after the event with this seq
     * @returns {Promise<any>}
     */
    get(at?: number): Promise<any>;
    /** `{task: output}` of a completed run; undefined for any other. @returns {Promise<any>} */
    outputs(): Promise<any>;
    /** The output of one task, however large. @param {string} task @returns {Promise<any>} */
    output(task: string): Promise<any>;
    /** @param {{task?: string, grace?: number, reason?: string}} [options] */
    cancel(options?: {
        task?: string;
        grace?: number;
        reason?: string;
    }): Promise<any>;
    /** @param {{reason?: string}} [options] */
    pause(options?: {
        reason?: string;
    }): Promise<any>;
    /** @param {{reason?: string}} [options] */
    resume(options?: {
        reason?: string;
    }): Promise<any>;
    /**
     * Answers what a task asks.
     * @param {string} task
     * @param {any} value
     * @param {{key?: string | null, run?: string}} [options] which of its questions; the child run that asks
     */
    send(task: string, value: any, { key, run }?: {
        key?: string | null;
        run?: string;
    }): Promise<any>;
    /**
     * A new run that takes over what completed; `from`: this task, and what depends on it, runs again in any case.
     * @param {{id?: string, from?: string}} [options]
     * @returns {Promise<RemoteRun>}
     */
    retry({ id, from, ...unknown }?: {
        id?: string;
        from?: string;
    }): Promise<RemoteRun>;
    /** Says something in an open run. @param {string} type @param {any} [data] @param {{task?: string}} [options] */
    emit(type: string, data?: any, { task }?: {
        task?: string;
    }): Promise<any>;
    /** Ends a session. @param {{status?: string, outputs?: any, error?: any}} [options] */
    end(options?: {
        status?: string;
        outputs?: any;
        error?: any;
    }): Promise<any>;
    delete(): Promise<any>;
    #private;
}
export type RequestOptions = import("./types.js").RequestOptions;
export type Budget = {
    cost?: number;
    tokens?: number;
    seconds?: number;
    tasks?: number;
    on_exceeded?: string;
};
