// Host: Streamlit, st.components.v2. The function below is called again with each change of data,
// theme or fragment; the stage lives on between calls.
//
// Data may arrive twice, late or not at all, so chunks say where they start and the stage says how
// far it is: data = {session, header, first, records, total, mode, options, height}, and
// the state `ack` = {session, next} asks for the record `next`. An ack costs a rerun: it is sent
// where records are missing or what came need not come again. A long recording comes as
// `packed` in place of `records`: js/packed.js. What grows comes by the event `minillm-feed` of the
// window: js/host-streamlit-feed.js.
//
// `data.goto` = {step, select, order, heard} moves the mounted stage: when it changes, unless the host
// spoke before it had heard the newest `state` = {serial, session, order, step, selection, playing},
// which the stage tells at rest where `data.reports` is set, and every `data.tell_every` ms while it
// plays. A new `order` is obeyed in any case.
// With `data.follow` nobody but the host moves the stage.

import { createStage } from "../stage.js";
import { unpacked } from "./packed.js";

const HELD_STILL = { act() {}, select() {}, seekAlong() {} }; // leads a stage that only its host moves
const mounts = new WeakMap();

export function mountStreamlit({ data, parentElement, setStateValue, setTriggerValue }) {
  let mount = mounts.get(parentElement);
  if (!mount) {
    mount = { root: document.createElement("div"), stage: null, session: null, next: 0,
      acked: -1, serial: 0, order: 0, told: null, wanted: null };
    mount.take = ({ detail }) => take(mount, detail);
    window.addEventListener("minillm-feed", mount.take);
    parentElement.append(mount.root);
    mounts.set(parentElement, mount);
  }
  mount.setStateValue = setStateValue;
  mount.setTriggerValue = setTriggerValue;
  if (data) receive(mount, data);
  return () => {
    window.removeEventListener("minillm-feed", mount.take);
    mount.look = null;
    mount.stage?.destroy();
    mount.root.remove();
    mounts.delete(parentElement);
  };
}

function receive(mount, data) {
  mount.root.style.height = data.height ? `${data.height}px` : "100%";
  const look = JSON.stringify([data.session, data.mode, data.options ?? {}]);
  if (mount.look !== look) {
    mount.look = look;
    mount.stage?.destroy();
    mount.next = 0;
    mount.acked = -1;
    mount.session = data.session;
    mount.told = null;
    mount.serial = Math.max(mount.serial, data.goto?.heard ?? 0);
    mount.wanted = JSON.stringify([data.goto?.step, data.goto?.select]);
    mount.order = data.goto?.order ?? 0;
    mount.stage = createStage(mount.root, {
      ...data.options, mode: data.mode, ...beginning(data),
      onControl: (control) => {
        mount.setTriggerValue("control", control);
        window.dispatchEvent(new CustomEvent("minillm-control"));
      },
      onState: (state) => hear(mount, state),
      tellEvery: () => mount.tellEvery,
      leader: data.follow ? () => (mount.steering ? null : HELD_STILL) : undefined,
      onFrame: ({ position }) => tellPage(mount, position),
    });
    mount.loaded = false;
    mount.unpacking = false;
    mount.heavy = false; // whether it came packed: such a recording is acknowledged, to come once
  }
  const asked = data.reports && !mount.reports;
  Object.assign(mount, { reports: data.reports, tellEvery: data.tell_every });
  if (asked && mount.last) report(mount, mount.last);
  if (data.packed && mount.next === data.first) {
    if (!mount.unpacking) unpack(mount, data);
    return;
  }
  const fresh = unseen(mount, data);
  if (!mount.loaded && mount.next >= data.first) {
    mount.stage.load(data.header, fresh);
    mount.loaded = true;
  } else if (fresh.length) mount.stage.append(fresh);
  mount.next += fresh.length;
  mount.stage.setTheme(data.options?.theme ?? "auto");
  if (data.goto) steer(mount, data.goto);
  const news = mount.next !== mount.acked && (mount.heavy || data.follow || data.total > mount.next);
  if (news || mount.next < data.first) acknowledge(mount);
}

/** Those records that the stage does not have; none behind a gap. */
function unseen({ next }, { first, records }) {
  return next < first ? [] : records.slice(next - first);
}

/** What the recording on the stage has grown by; the one who brings it reads there what is next. */
function take(mount, detail) {
  if (detail.session !== mount.session || !mount.loaded) return;
  const fresh = unseen(mount, detail);
  mount.next += fresh.length;
  if (fresh.length) mount.stage.append(fresh);
  if ("running" in detail) mount.stage.setEngine(detail.running);
  detail.next = mount.next;
}

async function unpack(mount, data) {
  const { look } = mount;
  mount.unpacking = true;
  mount.stage.announce(data.header);
  const { records } = await unpacked({ packed: data.packed });
  if (mount.look !== look) return; // another came meanwhile, or the stage is gone
  mount.unpacking = false;
  mount.heavy = true;
  receive(mount, { ...data, packed: null, records });
}

export function beginning({ goto }) {
  const options = {};
  if (Number.isInteger(goto?.step)) Object.assign(options, { start: goto.step, autoplay: false });
  if (typeof goto?.select === "string") options.select = goto.select;
  return options;
}

function hear(mount, state) {
  mount.last = state;
  if (mount.reports) report(mount, state);
}

export function report(mount, state) {
  mount.serial += 1;
  mount.told = JSON.stringify([state.step, state.selection]);
  const { serial, session, order } = mount;
  mount.setStateValue("state", { serial, session, order, ...state });
}

/** Other parts of the page move with the stage: each frame is an event of the window. */
function tellPage({ session }, position) {
  window.dispatchEvent(new CustomEvent("minillm-moment", { detail: { session, position } }));
}

export function steer(mount, { step, select, order = 0, heard }) {
  const wanted = JSON.stringify([step, select]);
  const ordered = order > mount.order;
  if (!ordered && (wanted === mount.wanted || heard < mount.serial)) return;
  mount.order = order;
  mount.wanted = wanted;
  if (!ordered && wanted === mount.told) return; // the host repeats what the stage said
  mount.steering = true;
  if (Number.isInteger(step)) mount.stage.seek(step);
  mount.stage.select(select ?? null, true);
  mount.steering = false;
}

function acknowledge(mount) {
  mount.acked = mount.next;
  mount.setStateValue("ack", { session: mount.session, next: mount.next });
}
