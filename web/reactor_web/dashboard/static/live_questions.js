// Everything that waits for a person, over all runs, live: asked for again where a stream of all runs says that something
// was asked or answered, at most every second.
import { connect } from "./client/connection.js";
import { ReactorError, withQuery } from "./client/request.js";
import { Changes } from "./ui.js";

const TYPES = "task.waiting,task.received,task.expired,task.withdrawn,run.completed,run.failed,run.cancelled";
const MOST = 200;
const AGAIN = 1_000;

export class LiveQuestions extends Changes {
  /** `{run_id, workflow, task_id, key, prompt, schema, expires, since}` */
  list = [];
  hasMore = false;
  status = "connecting";
  detail = null;
  error = null;
  isLoading = true;
  #session;
  #connection;
  #timer;
  #isClosed = false;
  #isAsking = false;
  #isOld = false;

  constructor(session) {
    super();
    this.#session = session;
    this.#ask();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  /** Something was asked or answered. */
  happened() {
    if (this.#isAsking) this.#isOld = true;
    else this.#timer ??= setTimeout(() => this.#ask(), AGAIN);
  }

  async #ask() {
    this.#timer = undefined;
    this.#isAsking = true;
    this.#isOld = false;
    const { api } = this.#session;
    try {
      const { position } = await api.list({ limit: 1 }); // before the questions: what comes later is told by the stream
      const { questions, cursor } = await api.send("GET", withQuery("/questions", { limit: MOST }));
      Object.assign(this, { list: questions, hasMore: cursor !== null, error: null });
      this.#connect(position);
    } catch (error) {
      this.error = this.#session.told(error);
      if (!error.isFinal) this.#isOld = true;
    }
    Object.assign(this, { isLoading: false });
    this.#isAsking = false;
    this.touch();
    if (this.#isOld && !this.#isClosed) this.happened();
  }

  #connect(position) {
    if (this.#connection || position === undefined || this.#isClosed) return;
    const { api } = this.#session;
    let cursor = position;
    this.#connection = connect({
      options: api.options,
      url: () => withQuery(`${api.base}/events`, { types: TYPES, heartbeat: 15 }),
      cursor: () => cursor,
      frame: ({ event, id }) => {
        if (event === "stream.closing") throw new ReactorError("the server closes the stream");
        cursor = id || cursor;
        this.happened();
      },
      status: (status, detail) => {
        Object.assign(this, { status, detail });
        this.touch();
      },
      fail: (error) => {
        Object.assign(this, { status: "failed", detail: this.#session.told(error) });
        this.touch();
      },
    });
  }
}
