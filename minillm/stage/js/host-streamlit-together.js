// Host: Streamlit, several traces with one cursor. data = {session, traces, goto, reports, options}:
// `traces` is JSON text of them all, or null once the state `ack` = {session} says that they came.
// `goto` and `state` are as in host-streamlit.js; `state` names the axis too.

import { createComparison } from "./compare.js";
import { beginning, report, steer } from "./host-streamlit.js";
import { unpacked } from "./packed.js";

const sets = new WeakMap();

export function mountTogether({ data, parentElement, setStateValue }) {
  let mount = sets.get(parentElement);
  if (!mount) {
    mount = { root: document.createElement("div"), stage: null, serial: 0, order: 0, told: null, wanted: null, latest: 0, traces: null };
    parentElement.append(mount.root);
    sets.set(parentElement, mount);
  }
  mount.setStateValue = setStateValue;
  if (data) bring(mount, data);
  return () => {
    mount.latest += 1;
    mount.stage?.destroy();
    mount.root.remove();
    sets.delete(parentElement);
  };
}

async function bring(mount, data) {
  const { axis: _, ...lasting } = data.options; // the reader's own once it is drawn
  const look = JSON.stringify([data.session, lasting]);
  if (mount.look === look) {
    if (mount.stage && data.goto) steer(mount, data.goto);
    return;
  }
  if (data.traces === null && mount.session !== data.session) return mount.setStateValue("ack", null);
  mount.look = look;
  mount.latest += 1;
  const mine = mount.latest;
  if (data.traces !== null) {
    mount.session = data.session;
    mount.traces = Promise.all(JSON.parse(data.traces).map(unpacked));
  }
  const traces = await mount.traces;
  if (mine !== mount.latest) return;
  mount.stage?.destroy();
  mount.told = null;
  mount.serial = Math.max(mount.serial, data.goto?.heard ?? 0);
  mount.wanted = JSON.stringify([data.goto?.step, data.goto?.select]);
  mount.order = data.goto?.order ?? 0;
  mount.stage = createComparison(mount.root, traces, { ...data.options, ...beginning(data),
    onState: data.reports ? (state) => report(mount, state) : undefined });
  mount.setStateValue("ack", { session: data.session });
}
