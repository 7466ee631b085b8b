// A page in React that shows what the hooks give, in a browser (react_browser.mjs) and in Node (react_node.mjs). A test
// calls its functions by name. Components are described: {name, hook, args}; `until` waits for what one of them shows.

const PATIENCE_MS = 6_000;
// before they are counted
const { setTimeout: later, clearTimeout: cancel } = globalThis;

/** Reads a description of options: what JSON cannot say stands as a word. */
function optionsOf({ speed, listens = true, throws, label, ...options } = {}, heard) {
  const told = (kind) => (...given) => {
    heard.push([kind, label ?? null, ...given.map((one) => one?.seq ?? (one instanceof Error ? one.message : one))]);
    if (throws) throw new Error("a callback of the page");
  };
  if (listens) Object.assign(options, { onEvent: told("event"), onError: told("error") });
  if (speed) {
    // hours pass in seconds; a heartbeat every hour, so that nothing counts as silent
    options.heartbeat = 3600;
    options.clock = {
      now: () => performance.now() * speed,
      setTimeout: (call, ms) => setTimeout(call, ms / speed),
      clearTimeout: (timer) => clearTimeout(timer),
    };
  }
  return options;
}

/**
 * @param {any} React
 * @param {any} hooks what `react.js` of the client exports
 * @param {{create: (element: any) => {render: (element: any) => void, unmount: () => void}, hydrate?: any, frame: any}} host
 */
export function createPage(React, hooks, host) {
  const { createElement, StrictMode, memo, useEffect } = React;
  const problems = [];
  for (const level of ["error", "warn"]) console[level] = (...given) => problems.push(given.map(String).join(" "));
  globalThis.reportError = (error) => problems.push(`reported: ${error.message}`);

  /** By the name of a component. */
  let shows = {};
  let renders = {};
  let heard = {};
  const waiting = new Set();
  let root;
  let refs = [];

  const Task = memo(function Task({ of, task }) {
    renders[`${of}/${task.id}`] = (renders[`${of}/${task.id}`] ?? 0) + 1;
    return createElement("li", null, `${task.id} ${task.status}`);
  });

  function Shown({ name, hook, args }) {
    const mine = (heard[name] ??= []);
    const given = args.map((one, place) => (place === args.length - 1 && one?.constructor === Object ? optionsOf(one, mine) : one));
    const value = hooks[hook](...given);
    if (value.run && hook === "useRun" && value.run.run_id !== args[0]) problems.push(`${name} shows another run`);
    renders[name] = (renders[name] ?? 0) + 1;
    useEffect(() => {
      refs.push(new WeakRef(value));
      shows[name] = value;
      for (const look of waiting) look();
    });
    useEffect(() => () => delete shows[name], []);
    const tasks = value.tasks && Object.values(value.tasks);
    return createElement("ul", null, value.status, tasks?.map((task) => createElement(Task, { key: task.id, of: name, task })));
  }

  const element = (components, strict) => {
    const all = components.map((one) => createElement(Shown, { key: one.name, ...one }));
    return createElement(strict ? StrictMode : React.Fragment, null, ...all);
  };
  const plain = (value) =>
    JSON.parse(JSON.stringify(value, (_, one) => (one instanceof Error ? { message: one.message } : typeof one === "bigint" ? `${one}` : one)));

  const page = {
    element,
    /** What React, or the client, has complained about. */
    complaints: () => problems.filter((problem) => !problem.includes("react-test-renderer is deprecated")),
    /** Shows these components; the root stays from one call to the next. */
    render(components, { strict = false } = {}) {
      root ??= host.create();
      root.render(element(components, strict));
    },
    /** Takes over what a server has rendered. */
    hydrate(html, components) {
      root = host.hydrate(html, element(components, false));
    },
    unmount() {
      root?.unmount();
      root = undefined;
    },
    forget() {
      shows = {};
      renders = {};
      heard = {};
    },
    /** What a component shows, once `test`, an expression over `shown` and `heard`, is true. */
    until(name, test) {
      const meets = new Function("shown", "heard", `return ${test}`);
      return new Promise((resolve, reject) => {
        const timer = later(() => {
          waiting.delete(look);
          reject(new Error(`${name} never shows ${test}, but ${JSON.stringify(plain(shows[name] ?? null)).slice(0, 2000)}`));
        }, PATIENCE_MS);
        const look = () => {
          if (!shows[name] || !meets(shows[name], heard[name])) return;
          waiting.delete(look);
          cancel(timer);
          // its getters ask the server: only what a test names is read
          const { outputs: _, ...members } = Object.getOwnPropertyDescriptors(shows[name]);
          resolve(plain(Object.fromEntries(Object.entries(members).map(([key, { value }]) => [key, value]))));
        };
        waiting.add(look);
        look();
      });
    },
    /** Runs code over what the components show; a promise is waited for. */
    async run(code) {
      return plain((await new Function("shows", "heard", "renders", `return ${code}`)(shows, heard, renders)) ?? null);
    },
    heard: (name) => plain(heard[name] ?? []),
    renders: () => renders,
    /** Mounts and unmounts these components `count` times; `turn` lets the loop go round between. */
    async churn(components, count, strict) {
      for (let round = 0; round < count; round += 1) {
        page.render(components, { strict });
        await host.turn(round);
        page.unmount();
        if (round % 50 === 49) await new Promise((resolve) => later(resolve));
      }
    },
    /** How many of the values that components have shown are still held by somebody. */
    async held() {
      shows = {};
      for (let round = 0; round < 5; round += 1) {
        await new Promise((resolve) => later(resolve, 5));
        globalThis.gc();
      }
      const alive = refs.filter((ref) => ref.deref()).length;
      const all = refs.length;
      return { alive, all };
    },
  };
  return page;
}

/** Counts what is left behind: timers that have not fired and listeners of the window and the document. */
export function counted(scope) {
  const timers = new Set();
  const listeners = [];
  const { setTimeout, clearTimeout, requestAnimationFrame, cancelAnimationFrame } = scope;
  scope.setTimeout = (call, ms, ...given) => {
    if (new Error().stack.includes("undici")) return setTimeout(call, ms, ...given); // fetch of Node keeps connections
    const timer = setTimeout(() => (timers.delete(timer), call(...given)), ms);
    timers.add(timer);
    return timer;
  };
  scope.clearTimeout = (timer) => (timers.delete(timer), clearTimeout(timer));
  if (requestAnimationFrame) {
    scope.requestAnimationFrame = (call) => {
      const frame = requestAnimationFrame.call(scope, (time) => (timers.delete(`f${frame}`), call(time)));
      timers.add(`f${frame}`);
      return frame;
    };
    scope.cancelAnimationFrame = (frame) => (timers.delete(`f${frame}`), cancelAnimationFrame.call(scope, frame));
  }
  for (const target of [scope, scope.document].filter((one) => one?.addEventListener)) {
    const { addEventListener, removeEventListener } = target;
    target.addEventListener = (type, ...rest) => {
      if (["online", "pageshow", "visibilitychange"].includes(type)) listeners.push(type);
      return addEventListener.call(target, type, ...rest);
    };
    target.removeEventListener = (type, ...rest) => {
      if (listeners.includes(type)) listeners.splice(listeners.indexOf(type), 1);
      return removeEventListener.call(target, type, ...rest);
    };
  }
  return () => ({ timers: timers.size, listeners: [...listeners] });
}
