// What a run has spent, over its time, against what it may.
import { html, useEffect, useRef } from "../ui.js";
import { Empty } from "../parts.js";
import { Name } from "../status.js";
import { cost, count, duration } from "../format.js";
import { palette, whenColorsChange } from "../palette.js";

export function Budget({ state, history, select }) {
  const { budget } = state;
  if (!state.cost && !state.tokens && !budget) return html`<${Empty} title="Nothing is spent"><p>What bodies report with <code>ctx.spend(cost=…, tokens=…)</code> is summed up here.</p><//>`;
  const limits = [["cost", "Cost", state.cost ?? 0, cost], ["tokens", "Tokens", Number(state.tokens ?? 0), count]];
  const spenders = Object.values(state.tasks).filter((task) => task.cost || task.tokens).sort((one, other) => (other.cost ?? 0) - (one.cost ?? 0) || Number(other.tokens ?? 0) - Number(one.tokens ?? 0));
  const most = spenders[0]?.cost || Number(spenders[0]?.tokens ?? 1);
  return html`<div class="budget-tab">
    <div class="gauges">${limits.map(([name, label, used, form]) => html`<${Gauge} key=${name} label=${label} used=${used} limit=${budget?.[name]} form=${form} />`)}
      ${budget?.on_exceeded && html`<p class="dim">where it is exceeded: ${budget.on_exceeded}</p>`}</div>
    ${history.spent.length > 1 && html`<${Chart} history=${history} />`}
    <table class="spenders"><thead><tr><th>Task</th><th class="right">Cost</th><th class="right">Tokens</th><th><span class="offscreen">Share</span></th></tr></thead><tbody>
      ${spenders.slice(0, 200).map((task) => html`<tr key=${task.id}><td><button class="link mono" onClick=${() => select(task.id)}><${Name} most=${36}>${task.id}<//></button></td><td class="right num">${cost(task.cost ?? 0)}</td><td class="right num">${count(task.tokens ?? 0)}</td>
        <td class="share"><i style=${{ width: `${((task.cost || Number(task.tokens ?? 0)) / most) * 100}%` }}></i></td></tr>`)}
    </tbody></table>
  </div>`;
}

function Gauge({ label, used, limit, form }) {
  const share = limit ? used / limit : 0;
  return html`<div class="gauge"><span class="dim">${label}</span><strong class="num">${form(used)}</strong>${limit ? html`<span class="dim">of ${form(limit)}, ${Math.round(share * 100)} %</span>
    <div class="meter" role="meter" aria-label=${label} aria-valuenow=${Math.round(share * 100)} aria-valuemin="0" aria-valuemax="100"><i class=${share >= 1 ? "s-failed" : share >= 0.8 ? "s-retrying" : "s-completed"} style=${{ width: `${Math.min(100, share * 100)}%` }}></i></div>` : html`<span class="dim">no limit</span>`}</div>`;
}

/** The sum over time, in steps. */
function Chart({ history }) {
  const box = useRef(null);
  const chart = useRef(null);
  const isCost = history.spent.at(-1).cost > 0;
  const data = [history.spent.map(({ at }) => (at - history.from) / 1000), history.spent.map((one) => (isCost ? one.cost : one.tokens))];
  useEffect(() => {
    let isGone = false;
    const make = async () => {
      const { default: uPlot } = await import("../vendor/uplot.js");
      if (isGone) return;
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(uPlot, box.current, { isCost }), data, box.current);
    };
    make();
    const forget = whenColorsChange(make);
    return () => {
      isGone = true;
      forget();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [isCost]);
  useEffect(() => chart.current?.setData(data), [history.spent.length]);
  return html`<figure class="chart"><figcaption>${isCost ? "Cost" : "Tokens"} over time</figcaption><div ref=${box}></div></figure>`;
}

function optionsOf(uPlot, box, { isCost }) {
  const colors = palette();
  const axis = { stroke: colors.muted, grid: { stroke: colors.line, width: 1 }, ticks: { stroke: colors.line }, font: "11px system-ui, sans-serif" };
  return {
    width: Math.max(280, box.clientWidth), height: 200, legend: { show: false }, cursor: { y: false },
    scales: { x: { time: false } },
    series: [{}, { stroke: colors.accent, width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }],
    axes: [{ ...axis, size: 30, values: (_, marks) => marks.map((mark) => duration(mark * 1000)) }, { ...axis, size: 64, values: (_, marks) => marks.map(isCost ? cost : count) }],
  };
}
