// The colours of the style sheet for what is drawn on a canvas.

const NAMES = ["text", "muted", "line", "line-strong", "surface", "raised", "canvas", "accent", "running", "completed", "failed", "waiting",
  "retrying", "paused", "cancelling", "cancelled", "skipped", "pending", "lost", "sleeping"];
const LIKE = { lost: "cancelled", sleeping: "waiting" };
let colors;
let probe;

/** name -> `rgb(…)`, as the theme has it now. */
export function palette() {
  if (colors) return colors;
  if (!probe) {
    probe = document.createElement("i");
    probe.hidden = true;
    document.body.append(probe);
    const forget = () => {
      colors = undefined;
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
    addEventListener("themechange", forget);
  }
  colors = Object.fromEntries(NAMES.map((name) => {
    probe.style.color = `var(--${LIKE[name] ?? name})`;
    return [name, getComputedStyle(probe).color];
  }));
  return colors;
}

/** Calls back when the colours have changed. Returns what ends that. */
export function whenColorsChange(call) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", call);
  addEventListener("themechange", call);
  return () => {
    media.removeEventListener("change", call);
    removeEventListener("themechange", call);
  };
}

/** A canvas of the size of its box, in the pixels of the screen. Returns the context, in CSS pixels. */
export function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** A text that fits into a width, with the middle left out where it does not. */
export function fittedText(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const most = Math.ceil((low + high) / 2);
    if (context.measureText(shortened(text, most)).width <= width) low = most;
    else high = most - 1;
  }
  return low > 1 ? shortened(text, low) : "";
}

const shortened = (text, most) => `${text.slice(0, Math.ceil(most / 2))}…${text.slice(text.length - Math.floor(most / 2))}`;
