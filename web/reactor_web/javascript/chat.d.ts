/**
 * The chat after an event. A new attempt takes back what the last one said and called, but no question.
 * @param {Chat} chat
 * @param {import("./types.js").RunEvent} event
 * @returns {Chat} the same object where nothing has changed
 */
export function evolveChat(chat: Chat, event: import("./types.js").RunEvent): Chat;
export function initialChat(): Chat;
export type TextPart = {
    type: "text";
    task: string;
    attempt: number;
    text: string;
};
export type ToolPart = {
    type: "tool";
    task: string;
    attempt: number;
    call: number;
    name: string;
    arguments: any;
    status: "running" | "success" | "error" | "cancelled";
    result?: any;
    error?: any;
    duration_ms?: number | undefined;
};
export type QuestionPart = {
    type: "question";
    task: string;
    /**
     * the one that asked it last
     */
    attempt: number;
    key: string | null;
    prompt: string | null;
    schema: any;
    status: "open" | "answered" | "expired" | "withdrawn";
    value?: any;
    /**
     * why the last value was rejected
     */
    problem?: string | undefined;
    expires?: string | undefined;
    /**
     * how many characters and calls of its task stood before it
     */
    place: number[];
};
export type Part = TextPart | ToolPart | QuestionPart;
/**
 * `early`: values that came before their question
 */
export type Chat = {
    parts: Part[];
    early: {
        task: string;
        seq: number;
        value: any;
    }[];
};
export type TaskEvent = {
    type: string;
    seq: number;
    task_id: string;
    attempt: number;
    data: any;
};
