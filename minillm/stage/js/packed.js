// A long recording comes as gzip in base64 (minillm/stage/payload.py) and is unpacked here.

/** The trace with its `records`. */
export async function unpacked(trace) {
  if (trace.packed === undefined) return trace;
  const { packed, ...rest } = trace;
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return { ...rest, records: JSON.parse(await new Response(stream).text()) };
}
