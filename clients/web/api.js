// The daemon's API as this page uses it. Every failure becomes an Error whose message is the server's own, with what to do about it.

let key = ""; // for servers that ask for one (--api-keys-file)
export const useKey = (text) => { key = text; };

const advice = {
  401: "Give a key of this server below.",
  404: "Reload the page: the models may have changed.",
  413: "Choose a smaller picture.",
  422: "Choose another picture: this one could not be read.",
  429: "Wait a moment: the quota is used up.",
  503: "The server is busy or stopping; try again in a moment.",
  504: "Ask for fewer time steps, or try again.",
};

async function request(path, init = {}) {
  let reply;
  try {
    reply = await fetch(path, key ? { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } } : init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached. Is it still running?");
  }
  if (reply.ok) return reply;
  let text = `${reply.status} ${reply.statusText}`;
  try {
    text = (await reply.json()).detail || text;
  } catch { /* not JSON: the status has to do */ }
  const error = new Error(advice[reply.status] ? `${text}. ${advice[reply.status]}` : text);
  error.status = reply.status;
  throw error;
}

export const getJson = async (path) => (await request(path)).json();
export const getBlob = async (path) => (await request(path)).blob();

/** The query of a classify request; options that are undefined or empty are left to the model's defaults. */
export function query(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}

/** POST a PNG blob; the answer as api.md has it. */
export async function classify(model, png, options, signal) {
  const path = `/v1/models/${encodeURIComponent(model)}/classify?${query(options)}`;
  return (await request(path, { method: "POST", headers: { "Content-Type": "image/png" }, body: png, signal })).json();
}

/** The same request for a shell; a key is not shown. */
export function curlCommand(model, options) {
  const quoted = (s) => `'${s.replaceAll("'", "'\\''")}'`;
  return `curl --data-binary @picture.png -H 'Content-Type: image/png' ${key ? '-H "Authorization: Bearer $KEY" ' : ""}\\\n  ${quoted(
    `${location.origin}/v1/models/${encodeURIComponent(model)}/classify?${query(options)}`)}`;
}
