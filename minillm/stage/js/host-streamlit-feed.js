// Host: Streamlit, what a growing recording has to tell. data = {token, session, language, more}.
// It is fetched from the server, {session, first, total, running, more, line, records}, and handed
// to the stage of that session by an event of the window, where the stage says how far it is: so
// one question is under way at a time, nothing is lost, and a busy server is asked less often.
// Where nobody knows the token (any more) the server answers 204.
// The page is told, by the trigger `rest`, when `more` or the session is not what it knew.

const LOOK_EVERY = 500; // ms between an answer and the next question: the stage plays meanwhile
const OBEYED = 120; // ms after which an engine has done what it was asked
const NO_STAGE = 50; // ms until it is looked for again
const LOST = 3000; // ms after a question in vain
const feeds = new WeakMap();

export function mountFeed({ data, parentElement, setTriggerValue }) {
  let feed = feeds.get(parentElement);
  if (!feed) {
    feed = { node: document.createElement("p"), timer: 0, asking: null };
    feed.asked = () => schedule(feed, OBEYED);
    window.addEventListener("minillm-control", feed.asked);
    parentElement.append(feed.node);
    feeds.set(parentElement, feed);
  }
  feed.setTriggerValue = setTriggerValue;
  const known = JSON.stringify(data);
  if (feed.known !== known) {
    feed.known = known;
    feed.data = data;
    feed.rested = false;
    look(feed);
  }
  return () => {
    clearTimeout(feed.timer);
    feed.asking?.abort();
    window.removeEventListener("minillm-control", feed.asked);
    feed.node.remove();
    feeds.delete(parentElement);
  };
}

function schedule(feed, wait) {
  clearTimeout(feed.timer);
  feed.timer = setTimeout(() => look(feed), wait);
}

async function look(feed) {
  const { session, token, language } = feed.data;
  clearTimeout(feed.timer);
  feed.asking?.abort();
  const next = offer({ session, first: 0, records: [] });
  if (next === null) return schedule(feed, NO_STAGE);
  const asking = new AbortController();
  feed.asking = asking;
  try {
    const reply = await fetch(`${base()}/feed/${token}?next=${next}&lang=${language}`,
      { signal: asking.signal, cache: "no-store" });
    if (reply.status === 200) hear(feed, await reply.json());
    else if (reply.status === 204) rest(feed);
    else schedule(feed, LOST); // a server in front of the app's that cannot reach it now
  } catch {
    if (feed.asking === asking && !asking.signal.aborted) schedule(feed, LOST);
  }
}

function hear(feed, message) {
  feed.node.textContent = message.line;
  if (message.session !== feed.data.session) return rest(feed);
  const next = offer(message);
  if (next !== null && next < message.total) schedule(feed, 0);
  else if (message.more) schedule(feed, LOOK_EVERY);
  if (message.more !== feed.data.more) rest(feed);
}

/** Once for what the page knows: it is run anew, and knows better then. */
function rest(feed) {
  if (!feed.rested) feed.setTriggerValue("rest", true);
  feed.rested = true;
}

/** How many records the stage has then; null where there is no stage for them. */
function offer(message) {
  const detail = { ...message, next: null };
  window.dispatchEvent(new CustomEvent("minillm-feed", { detail }));
  return detail.next;
}

/** The address of the app, wherever it is served: that of Streamlit's own script. */
function base() {
  const script = document.querySelector('script[src*="/static/js/"]');
  return script ? script.src.slice(0, script.src.indexOf("/static/js/")) : location.origin;
}
