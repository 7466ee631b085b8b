export function newId(): string;
/**
 * @typedef {{id: string, t: "who" | "lead" | "here" | "bye" | "say", next?: string, body?: any}} Message
 * @typedef {{setTimeout(call: () => void, ms: number): any, clearTimeout(timer: any): void}} Clock
 * @typedef {object} Party  what it is all about: those who use this module
 * @property {() => any} report  goes with each word of a leader
 * @property {() => any} present  goes with each answer of a member
 * @property {(leads: boolean) => void} turn  it leads now, or no longer
 * @property {() => void} joined  a member has come, gone or changed
 * @property {(body: any) => void} heard  what a leader reports
 * @property {(body: any) => void} said  what was given to `say`
 */
export class Election {
    /**
     * @param {BroadcastChannel} channel
     * @param {Party} party
     * @param {{id?: string, beat?: number, isLater?: boolean, clock?: Clock}} [options]
     *   `isLater`: somebody else should lead, and has three beats to say so. The lowest id wins.
     */
    constructor(channel: BroadcastChannel, party: Party, { id, beat, isLater, clock }?: {
        id?: string;
        beat?: number;
        isLater?: boolean;
        clock?: Clock;
    });
    leads: boolean;
    /** @type {Map<string, {body: any, missed: number}>} those that a leader has heard of */
    members: Map<string, {
        body: any;
        missed: number;
    }>;
    id: string;
    channel: BroadcastChannel;
    party: Party;
    beat: number;
    clock: Clock;
    /** A leader asks all members whether they are there, and reports. */
    roll(): void;
    /** Tells the leader what is wanted here, and asks for its report unless it `isKnown`. */
    ask(isKnown?: boolean): void;
    /** @param {any} body to all the others */
    say(body: any): void;
    lead(): void;
    /** Leaves; a leader names the next one. */
    close(): void;
    timer: any;
    #private;
}
export type Message = {
    id: string;
    t: "who" | "lead" | "here" | "bye" | "say";
    next?: string;
    body?: any;
};
export type Clock = {
    setTimeout(call: () => void, ms: number): any;
    clearTimeout(timer: any): void;
};
/**
 * what it is all about: those who use this module
 */
export type Party = {
    /**
     * goes with each word of a leader
     */
    report: () => any;
    /**
     * goes with each answer of a member
     */
    present: () => any;
    /**
     * it leads now, or no longer
     */
    turn: (leads: boolean) => void;
    /**
     * a member has come, gone or changed
     */
    joined: () => void;
    /**
     * what a leader reports
     */
    heard: (body: any) => void;
    /**
     * what was given to `say`
     */
    said: (body: any) => void;
};
