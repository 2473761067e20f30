// Two to four stages on one clock: data = {traces: [{header, records}], names, axis: "time" | "step",
// moment: {time (ns), step}, where they stand at first, options}. The longest run leads; the others show the same engine time, or the same step.

const mounted = new WeakMap();

function lastStep(records) {
  return records.findLast((record) => record.n !== undefined);
}

function endOf({ records }) {
  const last = lastStep(records);
  return last ? last.t + last.d : 1;
}

export default function ({ data, parentElement }) {
  const look = JSON.stringify([data.names, data.axis, data.options, data.traces.map(endOf)]);
  let mount = mounted.get(parentElement);
  if (mount?.look === look) return undefined;
  mount?.stages.forEach((stage) => stage.destroy());
  mount?.root.remove();
  mount = { look, root: document.createElement("div"), stages: [] };
  mounted.set(parentElement, mount);
  mount.root.className = `together together-${data.traces.length}`;
  parentElement.append(mount.root);
  const roots = data.traces.map((trace, i) => {
    const column = document.createElement("section");
    const name = document.createElement("h3");
    name.textContent = data.names[i];
    const root = document.createElement("div");
    column.append(name, root);
    mount.root.append(column);
    return root;
  });
  const byStep = data.axis === "step";
  const lengths = data.traces.map((trace) => (byStep ? lastStep(trace.records)?.n ?? 0 : endOf(trace)));
  const first = lengths.indexOf(Math.max(...lengths));
  const until = Math.max(...data.traces.map(endOf));
  const followers = [];
  const leader = createStage(roots[first], { ...data.options, until, onFrame: (seen) => {
    const step = byStep ? leader.readout().step : 0;
    for (const stage of followers) {
      if (byStep) stage.seek(step);
      else stage.follow(seen);
    }
  } });
  data.traces.forEach(({ header, records }, i) => {
    if (i === first) return;
    const stage = createStage(roots[i], { ...data.options, until, leader });
    stage.load(header, records);
    followers.push(stage);
  });
  leader.load(data.traces[first].header, data.traces[first].records);
  const there = data.traces[first].records
    .find(({ n, t, d }) => n !== undefined && t + d >= data.moment.time);
  leader.seek(byStep ? data.moment.step : there?.n ?? 0);
  mount.stages = [leader, ...followers];
  return () => {
    mount.stages.forEach((stage) => stage.destroy());
    mount.root.remove();
    mounted.delete(parentElement);
  };
}
